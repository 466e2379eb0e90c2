//! Logins, the pure parts: where one logs in, what is sent, what an answer means. No socket, no file, no clock.

pub mod device;
pub mod flow;
pub mod pkce;
pub mod provider;
pub mod token;
