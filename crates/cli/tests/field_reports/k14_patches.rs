//! K14: patches are taken out of their wrapping.
