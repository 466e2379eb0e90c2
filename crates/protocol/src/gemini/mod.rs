//! The Gemini wire: [`request`] as written, [`event`] as read, both also inside the envelope of Code Assist; [`signature`], how
//! provider state travels through a client of this protocol; [`legality`], what a stream must be.
//!
//! The fields are those of Google's reference for `generateContent`; those of Code Assist are seen in the Gemini CLI.

pub mod event;
pub mod legality;
pub mod request;
pub mod signature;
