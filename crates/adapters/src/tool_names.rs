//! Tool names that had to be changed on the way out, to be changed back on the way in. Pure.

use std::borrow::Cow;

use latimer_protocol::turn::TurnRequest;

/// What a provider allows in a tool's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolNameRule {
    /// Longest name, in characters.
    pub max_len: usize,
    /// Characters besides ASCII letters and digits.
    pub extra_chars: &'static str,
    /// The first character must be a letter or `_`.
    pub starts_with_letter: bool,
}

impl ToolNameRule {
    /// What most providers allow: `[A-Za-z0-9_-]{1,64}`.
    pub const COMMON: Self = Self { max_len: 64, extra_chars: "_-", starts_with_letter: false };

    /// The name, changed where the rule does not allow it. Not reversible: for names that nobody will call by.
    pub fn sanitize(self, name: &str) -> Cow<'_, str> {
        if self.allows(name) {
            return Cow::Borrowed(name);
        }
        let changed: String = self.replaced(name).chars().take(self.max_len).collect();
        Cow::Owned(if changed.is_empty() { "_".to_owned() } else { changed })
    }

    /// The name with characters the rule allows; its length stays.
    fn replaced(self, name: &str) -> String {
        let mut wire = String::with_capacity(name.len() + 1);
        if self.starts_with_letter && !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            wire.push('_');
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || self.extra_chars.contains(c);
        wire.extend(name.chars().map(|c| if fits(c) { c } else { '_' }));
        wire
    }

    fn allows(self, name: &str) -> bool {
        let fits = |c: char| c.is_ascii_alphanumeric() || self.extra_chars.contains(c);
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        !name.is_empty()
            && name.len() <= self.max_len
            && name.chars().all(fits)
            && (!self.starts_with_letter || name.chars().next().is_some_and(first))
    }
}

/// The changed names of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolNames {
    rule: ToolNameRule,
    /// The provider's name and the client's.
    changed: Vec<(String, String)>,
}

impl Default for ToolNames {
    fn default() -> Self {
        Self { rule: ToolNameRule::COMMON, changed: Vec::new() }
    }
}

impl ToolNames {
    /// Changes the names that the rule does not allow; a number keeps them apart.
    pub fn new(turn: &TurnRequest, rule: ToolNameRule) -> Self {
        let mut changed = Vec::new();
        for (place, tool) in turn.tools.iter().enumerate().filter(|(_, tool)| !rule.allows(&tool.name)) {
            let tail = format!("_{place}");
            let wire = rule.replaced(&tool.name);
            let mut short: String = wire.chars().take(rule.max_len.saturating_sub(tail.len())).collect();
            short.push_str(&tail);
            changed.push((short, tool.name.clone()));
        }
        Self { rule, changed }
    }

    /// A name that the provider allows for a tool that may not be declared any more: calls of earlier turns have any name.
    pub fn allowed_name<'n>(&'n self, client: &'n str) -> Cow<'n, str> {
        self.rule.sanitize(self.provider_name(client))
    }

    /// The client's name for the name a model used.
    pub fn client_name<'n>(&'n self, provider: &'n str) -> &'n str {
        self.changed.iter().find(|(changed, _)| changed == provider).map_or(provider, |(_, client)| client)
    }

    /// The provider's name for the client's name.
    pub fn provider_name<'n>(&'n self, client: &'n str) -> &'n str {
        self.changed.iter().find(|(_, known)| known == client).map_or(client, |(changed, _)| changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::Tool;

    #[test]
    fn names_go_out_changed_and_come_back() {
        let tool = |name: &str| Tool { name: name.into(), description: None, parameters: None, strict: None };
        let long = "x".repeat(70);
        let turn = TurnRequest {
            tools: vec![tool("plain"), tool("a.b"), tool("7z"), tool(&long)],
            ..TurnRequest::default()
        };
        let names = ToolNames::new(&turn, ToolNameRule { starts_with_letter: true, ..ToolNameRule::COMMON });
        for (client, wire) in [("plain", "plain"), ("a.b", "a_b_1"), ("7z", "_7z_2")] {
            assert_eq!((names.provider_name(client), names.client_name(wire)), (wire, client));
        }
        let short = names.provider_name(&long);
        assert!(short.len() == 64 && short.ends_with("_3"), "{short}");
        assert_eq!(names.client_name(short), long);
    }

    #[test]
    fn names_of_an_earlier_time_are_made_to_fit() {
        let rule = ToolNameRule { starts_with_letter: true, ..ToolNameRule::COMMON };
        for (name, want) in [("plain", "plain"), ("", "_"), ("a b!", "a_b_"), ("7z", "_7z"), ("ö", "__")] {
            assert_eq!(rule.sanitize(name), want);
        }
        assert_eq!(rule.sanitize(&"7".repeat(70)).len(), 64);
    }
}
