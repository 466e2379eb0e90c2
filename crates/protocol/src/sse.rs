//! Server-sent events: bytes to frames, frames to bytes. No IO.
