//! K22: an outbound proxy is used, or said not to be.
