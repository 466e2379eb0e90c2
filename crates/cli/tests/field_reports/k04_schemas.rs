//! K4: every schema is an object at its root.
