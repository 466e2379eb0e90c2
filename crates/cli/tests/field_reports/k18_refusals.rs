//! K18: a provider's refusal is said once, with its words.
