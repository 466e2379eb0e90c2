//! K23: small ones, each of its own.
