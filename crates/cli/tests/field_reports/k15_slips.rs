//! K15: slips of known dialects are read as the calls they are.
