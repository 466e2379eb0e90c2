//! K5: limits on output tokens are learned from refusals.
