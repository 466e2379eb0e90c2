//! K17: a history with calls and no tools.
