//! K13: references to tools become words and declarations.
