//! Which protocol's frames hold calls, and how they are found in them.

use std::sync::Arc;

use crate::chat::call_frames::ChatCallFrames;
use crate::messages::call_frames::MessagesCallFrames;
use crate::prepared_request::PreparedRequest;
use crate::prepared_request::WireProtocol;
use crate::repair::{CallGuard, FrameCalls};
use crate::responses::call_frames::ResponsesCallFrames;

/// What stands between the answer to this request and the client, where the answer is not repaired.
pub fn call_guard(prepared: &PreparedRequest) -> CallGuard {
    let rules = || Arc::clone(&prepared.call_rules);
    let frames: Option<Box<dyn FrameCalls>> = match prepared.protocol {
        _ if !prepared.is_passthrough => None,
        WireProtocol::Chat => Some(Box::new(ChatCallFrames::new(rules()))),
        WireProtocol::Messages => Some(Box::new(MessagesCallFrames::new(rules()))),
        WireProtocol::Responses => Some(Box::new(ResponsesCallFrames::new(rules()))),
        // No client of these gets an upstream's own events.
        WireProtocol::Gemini | WireProtocol::CommandCode | WireProtocol::Agent => None,
    };
    CallGuard::new(rules(), frames)
}
