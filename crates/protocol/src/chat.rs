//! The Chat Completions wire.
