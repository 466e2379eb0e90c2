//! K1: a text that begins with a whole object is no question of quotes.
