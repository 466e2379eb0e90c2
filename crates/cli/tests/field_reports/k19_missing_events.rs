//! K19: what only the closing event has reaches the client.
