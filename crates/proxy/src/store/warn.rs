//! What a person should know of a conversation: its cache went cold, or the model goes round in circles. Pure.

use std::collections::HashMap;

use latimer_protocol::turn::{Item, Tool, Usage};

/// Conversations that are remembered.
const MAX_CONVERSATIONS: usize = 1000;
/// Shares below and above which a cache counts as cold and as warm.
const COLD: u64 = 10;
const WARM: u64 = 50;
/// A shorter input proves nothing.
const INPUT: u64 = 4000;
/// The same call so many times in a row is a circle.
const CIRCLE: usize = 5;

/// Remembers whether the caches of conversations were warm.
#[derive(Debug, Default)]
pub struct CacheMonitor {
    /// Conversation to the percentage that its last turn read from a cache.
    shares: HashMap<String, u64>,
}

impl CacheMonitor {
    /// Takes the tokens of a turn; a warning when its cache went cold.
    pub fn turn(&mut self, conversation: &str, usage: Usage) -> Option<String> {
        let input = usage.input.filter(|input| *input >= INPUT)?;
        let share = usage.cached?.saturating_mul(100) / input;
        if self.shares.len() >= MAX_CONVERSATIONS && !self.shares.contains_key(conversation) {
            self.shares.clear();
        }
        let before = self.shares.insert(conversation.to_owned(), share)?;
        (before > WARM && share < COLD).then(|| {
            format!(
                "the provider's cache went cold: {share} % of {input} input tokens came from it, and {before} % in the turn before; a changed prompt, endpoint or key makes every turn of this conversation dearer"
            )
        })
    }
}

/// A warning when the last calls of a history are all the same.
pub fn circle(items: &[Item], tools: &[Tool]) -> Option<String> {
    let mut calls = items.iter().rev().filter_map(|item| match item {
        Item::Call(call) => Some(call),
        _ => None,
    });
    let last = calls.next()?;
    let same =
        1 + calls.take_while(|call| call.name == last.name && call.arguments == last.arguments).count();
    // Any other name is a text of the model's, and a warning stands in the log.
    let is_declared = tools.iter().any(|tool| tool.name == last.name);
    let name =
        if is_declared { format!("`{}`", last.name) } else { "a tool that is not declared".to_owned() };
    (same >= CIRCLE).then(|| {
        format!("the model goes round in circles: it made the same call of {name} {same} times in a row")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;
    use latimer_protocol::turn::Call;

    fn usage(input: u64, cached: u64) -> Usage {
        Usage { input: Some(input), cached: Some(cached), ..Usage::default() }
    }

    #[test]
    fn a_cache_that_goes_cold_is_told_once() {
        let mut caches = CacheMonitor::default();
        assert_eq!(caches.turn("c", usage(10_000, 9000)), None);
        assert_eq!(caches.turn("c", usage(100, 0)), None, "too short to say anything");
        assert!(caches.turn("c", usage(10_000, 500)).is_some_and(|words| words.contains("90 %")));
        assert_eq!(caches.turn("c", usage(10_000, 500)), None);
        assert_eq!(caches.turn("d", usage(10_000, 0)), None, "the first turn has no cache");
        assert_eq!(caches.turn("c", Usage { input: Some(10_000), ..Usage::default() }), None);
    }

    #[test]
    fn circles() {
        let call = |arguments: &str| {
            Item::Call(Call { id: CallId::from("c"), name: "exec".into(), arguments: arguments.into() })
        };
        let name = "exec".to_owned();
        let tools = [Tool { name, description: None, parameters: None, strict: None }];
        let mut items: Vec<Item> = (0..4).map(|_| call("{}")).collect();
        assert_eq!(circle(&items, &tools), None);
        items.push(call("{}"));
        assert!(circle(&items, &tools).is_some_and(|words| words.contains("`exec` 5 times")));
        assert!(circle(&items, &[]).is_some_and(|words| !words.contains("exec")), "nobody declared it");
        items.push(call("{\"a\":1}"));
        assert_eq!(circle(&items, &tools), None);
    }
}
