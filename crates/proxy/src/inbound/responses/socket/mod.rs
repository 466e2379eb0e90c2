//! The Responses API over WebSocket: what clients send ([`message`]), what goes back ([`payloads`]), and what a connection
//! remembers of its own answers ([`history`]). All pure.

pub mod history;
pub mod message;
pub mod payloads;
