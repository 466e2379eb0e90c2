//! K9: the values that a refusal lists are used.
