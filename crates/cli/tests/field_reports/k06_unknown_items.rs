//! K6: no item with text in it vanishes.
