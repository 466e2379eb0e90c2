//! The Gemini wire: [`request`] as written, [`event`] as read, both also inside the envelope of Code Assist; [`signature`], how
//! provider state travels through a client of this protocol; [`legality`], what a stream must be.

pub mod event;
pub mod legality;
pub mod request;
pub mod signature;
