//! K7: an overflow is told as one, in any provider's words.
