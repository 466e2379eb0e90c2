//! K10: a failure that comes with status 200 keeps its words.
