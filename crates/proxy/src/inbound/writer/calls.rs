//! One call of an answer: its id, its arguments, and when they are complete.

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::id::CallId;
use latimer_protocol::whole_object::is_whole_object;
use std::collections::HashSet;

use super::WriterSeed;

/// A call whose arguments arrive.
#[derive(Debug)]
pub struct PendingCall {
    /// Which call of the answer.
    pub slot: u32,
    /// The id the client knows it by.
    pub id: String,
    /// The flat name, as declared in the request.
    pub name: String,
    /// No more arguments will come.
    pub(super) ended: bool,
    arguments: String,
}

impl PendingCall {
    /// A call without arguments so far.
    pub(in crate::inbound) fn new(slot: u32, id: String, name: &str) -> Self {
        Self { slot, id, name: name.to_owned(), ended: false, arguments: String::new() }
    }

    /// The arguments as they came.
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// Takes a piece of the arguments.
    pub(super) fn push(&mut self, json: &str) {
        self.arguments.push_str(json);
    }

    /// Something came that could be arguments. As long as nothing did, a call that is cut looks just like one that needs none.
    pub(super) fn has_arguments(&self) -> bool {
        !self.arguments.trim_start().is_empty()
    }

    /// The arguments are one complete JSON object.
    pub fn is_complete(&self) -> bool {
        is_whole_object(&self.arguments)
    }
}

/// Which ids of upstreams a protocol's clients take.
#[derive(Debug, Clone, Copy)]
pub(in crate::inbound) struct CallIdRule {
    /// What an id made here begins with.
    pub(in crate::inbound) prefix: &'static str,
    /// The longest that is handed on, in bytes.
    pub(in crate::inbound) max_bytes: usize,
    /// Only visible ASCII is handed on.
    pub(in crate::inbound) visible_ascii: bool,
}

/// Chooses the ids of an answer's calls: the upstream's where the client takes it and it is unused, else one of our own.
#[derive(Debug)]
pub(in crate::inbound) struct CallIds {
    rule: CallIdRule,
    hex: String,
    used: HashSet<String>,
    /// Calls so far.
    count: u32,
}

impl CallIds {
    /// `seed` gives the ids that are used already.
    pub(in crate::inbound) fn new(rule: CallIdRule, seed: &mut WriterSeed) -> Self {
        Self { rule, hex: seed.hex(), used: std::mem::take(&mut seed.call_ids), count: 0 }
    }

    /// The id of the next call.
    pub(in crate::inbound) fn choose(&mut self, upstream: Option<&str>) -> String {
        let CallIdRule { prefix, max_bytes, visible_ascii } = self.rule;
        let is_usable = |id: &&str| {
            (1..=max_bytes).contains(&id.len())
                && (!visible_ascii || id.bytes().all(|byte| byte.is_ascii_graphic()))
                && !self.used.contains(*id)
        };
        let id = match upstream.filter(is_usable) {
            Some(id) => id.to_owned(),
            None => CallId::made_here(prefix, &self.hex, self.count).to_string(),
        };
        self.count += 1;
        self.used.insert(id.clone());
        id
    }
}

/// What a client is told of a call that could not be handed on.
pub(in crate::inbound) fn broken_call_message(name: &str) -> String {
    latimer_adapters::repair::broken_call_message(name)
}

/// How an answer ends whose call could not be handed on.
pub(in crate::inbound) fn broken_call(name: &str) -> Failure {
    Failure::new(FailureKind::UpstreamError, broken_call_message(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unused_and_within_the_rule() {
        let mut seed = WriterSeed { call_ids: ["used".to_owned()].into(), ..WriterSeed::default() };
        let rule = CallIdRule { prefix: "call_", max_bytes: 8, visible_ascii: true };
        let mut ids = CallIds::new(rule, &mut seed);
        assert_eq!(ids.choose(Some("c1")), "c1");
        let own_id = |count: u32| format!("call_{}{count:02x}", "00".repeat(16));
        for (count, id) in [Some("c1"), Some("used"), Some("too long for it"), Some("a b"), Some(""), None]
            .into_iter()
            .enumerate()
        {
            assert_eq!(ids.choose(id), own_id(u32::try_from(count).expect("few") + 1), "{id:?}");
        }
    }
}
