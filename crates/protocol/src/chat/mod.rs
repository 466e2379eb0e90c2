//! The Chat Completions wire: [`request`] as written, [`chunk`] as read, and [`legality`], which checks a whole stream.
//!
//! The fields are those of OpenAI's API reference ("Create chat completion", "Chat completion chunk"); where other servers differ,
//! the field says which.

pub mod chunk;
pub mod legality;
pub mod request;
