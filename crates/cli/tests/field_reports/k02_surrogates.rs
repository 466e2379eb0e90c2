//! K2: half a surrogate pair breaks nothing.
