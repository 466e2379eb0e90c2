//! What the last turns were asked and what they sent, for a person who wants to see both, or to send one again. In memory only, and not
//! much of it: a body is shared with the turn, never copied, and the oldest ones leave.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::inbound::client_protocol::ClientProtocol;
use crate::sync::lock;

/// Turns whose requests are kept.
const MAX_TURNS: usize = 64;
/// What all kept bodies may take together, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// A longer body, in bytes, is not kept.
const MAX_BODY: usize = 2 << 20;

/// The requests of the last turns, the oldest first.
#[derive(Debug, Default)]
pub struct KeptRequests {
    inner: Mutex<Inner>,
    /// Nobody wants them kept.
    is_off: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    turns: VecDeque<(String, TurnRequests)>,
    bytes: usize,
}

/// What is kept of one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnRequests {
    /// As the client sent it.
    pub client: Option<AskedRequest>,
    /// As it went to the target that was asked last.
    pub upstream: Option<SentRequest>,
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedRequest {
    /// How it was written.
    pub protocol: ClientProtocol,
    /// The model in the path, where the protocol has it there.
    pub path_model: Option<String>,
    /// The JSON.
    pub body: KeptBody,
}

/// What went to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRequest {
    /// `endpoint/model`.
    pub target: String,
    /// The wire protocol.
    pub protocol: &'static str,
    /// The JSON.
    pub body: KeptBody,
}

/// A body, or how long one was that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptBody {
    /// All of it.
    Whole(Bytes),
    /// It had so many bytes, which is too many.
    TooLong(usize),
}

impl KeptBody {
    fn new(body: &Bytes) -> Self {
        if body.len() > MAX_BODY { Self::TooLong(body.len()) } else { Self::Whole(body.clone()) }
    }

    /// How much of the memory it takes.
    fn kept(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::TooLong(_) => 0,
        }
    }
}

impl TurnRequests {
    fn kept(&self) -> usize {
        self.client.as_ref().map_or(0, |asked| asked.body.kept())
            + self.upstream.as_ref().map_or(0, |sent| sent.body.kept())
    }
}

impl KeptRequests {
    /// Keeps requests from now on, or keeps none and drops what there is.
    pub fn keep(&self, wanted: bool) {
        let was_off = self.is_off.swap(!wanted, Ordering::Relaxed);
        if !wanted && !was_off {
            *lock(&self.inner) = Inner::default();
        }
    }

    /// Whether requests are kept.
    pub fn are_kept(&self) -> bool {
        !self.is_off.load(Ordering::Relaxed)
    }

    /// A client sent this.
    pub(super) fn asked(
        &self,
        turn: &str,
        protocol: ClientProtocol,
        path_model: Option<String>,
        body: &Bytes,
    ) {
        let asked = AskedRequest { protocol, path_model, body: KeptBody::new(body) };
        self.change(turn, |requests| requests.client = Some(asked));
    }

    /// This went to a target, in the place of what went to an earlier one.
    pub(super) fn sent(&self, turn: &str, target: &str, protocol: &'static str, body: &Bytes) {
        let sent = SentRequest { target: target.to_owned(), protocol, body: KeptBody::new(body) };
        self.change(turn, |requests| requests.upstream = Some(sent));
    }

    /// What is kept of a turn; `None` once it has left.
    pub fn of(&self, turn: &str) -> Option<TurnRequests> {
        lock(&self.inner)
            .turns
            .iter()
            .rev()
            .find(|(known, _)| known == turn)
            .map(|(_, requests)| requests.clone())
    }

    fn change(&self, turn: &str, change: impl FnOnce(&mut TurnRequests)) {
        if !self.are_kept() {
            return;
        }
        let inner = &mut *lock(&self.inner);
        let place = inner.turns.iter().rposition(|(known, _)| known == turn);
        let place = place.unwrap_or_else(|| {
            inner.turns.push_back((turn.to_owned(), TurnRequests::default()));
            inner.turns.len() - 1
        });
        if let Some((_, requests)) = inner.turns.get_mut(place) {
            inner.bytes -= requests.kept();
            change(requests);
            inner.bytes += requests.kept();
        }
        while inner.turns.len() > MAX_TURNS || inner.bytes > MAX_BYTES {
            let Some((_, oldest)) = inner.turns.pop_front() else { break };
            inner.bytes -= oldest.kept();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn the_newest_are_kept_and_shared_with_their_turn() {
        let kept = KeptRequests::default();
        let asked = body(9);
        kept.asked("t1", ClientProtocol::Chat { opencode: false }, None, &asked);
        kept.sent("t1", "a/m", "chat", &body(5));
        kept.sent("t1", "b/m", "chat", &body(7));
        let requests = kept.of("t1").expect("kept");
        let Some(AskedRequest { body: KeptBody::Whole(shared), .. }) = &requests.client else {
            panic!("{requests:?}")
        };
        assert_eq!(shared.as_ptr(), asked.as_ptr(), "no copy");
        assert_eq!(requests.upstream.expect("sent").target, "b/m", "the last target");
        assert_eq!(lock(&kept.inner).bytes, 9 + 7);
        assert_eq!(kept.of("t2"), None);
    }

    #[test]
    fn nothing_is_kept_where_nobody_wants_it() {
        let kept = KeptRequests::default();
        let ask = |turn| kept.asked(turn, ClientProtocol::Chat { opencode: false }, None, &body(9));
        ask("t1");
        kept.keep(false);
        ask("t2");
        assert!(kept.of("t1").is_none() && kept.of("t2").is_none() && !kept.are_kept());
        assert_eq!(lock(&kept.inner).bytes, 0);
        kept.keep(true);
        ask("t3");
        assert!(kept.of("t3").is_some());
    }

    #[test]
    fn what_is_kept_is_bounded_in_turns_and_bytes() {
        let kept = KeptRequests::default();
        for number in 0..MAX_TURNS + 3 {
            kept.asked(&number.to_string(), ClientProtocol::Messages { agent: false }, None, &body(1));
        }
        assert!(kept.of("2").is_none() && kept.of("3").is_some());
        for number in 0..20 {
            kept.asked(
                &format!("long {number}"),
                ClientProtocol::Chat { opencode: false },
                None,
                &body(MAX_BODY),
            );
        }
        assert_eq!(lock(&kept.inner).bytes, MAX_BYTES);
        assert!(kept.of("long 15").is_none() && kept.of("long 16").is_some());
        kept.asked("longer", ClientProtocol::Chat { opencode: false }, None, &body(MAX_BODY + 1));
        let asked = kept.of("longer").and_then(|requests| requests.client).expect("noted");
        assert_eq!(asked.body, KeptBody::TooLong(MAX_BODY + 1));
    }
}
