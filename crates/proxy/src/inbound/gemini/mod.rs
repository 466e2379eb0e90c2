//! The Gemini protocol in front: what the Gemini CLI and the google-genai SDKs speak.
//!
//! [`target`] reads the path, [`request`] the body, [`stream`] writes all three forms of an answer, [`error`] says no, [`models`] lists.
//! Names that the hub does not take are changed and changed back by [`names`]. All pure.

mod config;
mod contents;
pub mod error;
mod frame;
pub mod models;
pub mod names;
mod parts;
pub mod request;
mod schema;
pub mod stream;
pub mod target;
mod tools;
