//! The Responses API over WebSocket: what clients send ([`message`]), what goes back ([`payloads`]), and what a connection
//! remembers of its own answers ([`recall`]). All pure.

pub mod message;
pub mod payloads;
pub mod recall;
