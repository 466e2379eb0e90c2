//! The Gemini wire: [`request`] as written, [`event`] as read; the same inside the envelope of Code Assist.

pub mod event;
pub mod request;
