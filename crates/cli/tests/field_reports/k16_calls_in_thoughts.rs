//! K16: thoughts without an answer are read for calls.
