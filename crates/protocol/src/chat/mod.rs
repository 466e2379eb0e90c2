//! The Chat Completions wire: [`request`] as written, [`chunk`] as read, and [`legality`], which checks a whole stream.

pub mod chunk;
pub mod legality;
pub mod request;
