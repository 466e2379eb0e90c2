//! The tools of one request: the names they go by upstream, and what each of them stands for in the client's protocol. The map
//! lives as long as the request.

use latimer_protocol::turn::{Tool, ToolChoice};

use crate::inbound::notes::Notes;

/// The longest name every provider takes, in characters: OpenAI's API reference, which the others follow.
const MAX_NAME: usize = 64;

/// What a flat name stands for in the client's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolKind {
    /// `function_call`.
    Function,
    /// `custom_tool_call`: the input is free text, wrapped as `{"input": …}` on the way out.
    Custom,
    /// `tool_search_call`: the arguments are an object.
    ToolSearch,
    /// `local_shell_call`: the arguments are the action.
    LocalShell,
}

/// One tool of a request.
#[derive(Debug, Clone)]
pub struct ToolEntry {
    /// The name upstream.
    pub flat: String,
    /// The name in the client's protocol.
    pub name: String,
    /// The namespace it sits in.
    pub namespace: Option<String>,
    /// What a call of it looks like to the client.
    pub kind: ToolKind,
}

/// Flat names and what they stand for.
#[derive(Debug, Clone, Default)]
pub struct ToolMap {
    entries: Vec<ToolEntry>,
}

impl ToolMap {
    /// The tool that goes by this name upstream.
    pub fn find(&self, flat: &str) -> Option<&ToolEntry> {
        self.entries.iter().find(|entry| entry.flat == flat)
    }

    /// The flat name of a call in the history; also for tools that are no longer declared.
    pub fn flat(&self, namespace: Option<&str>, name: &str) -> String {
        let exact = |entry: &&ToolEntry| entry.name == name && entry.namespace.as_deref() == namespace;
        // Codex leaves the namespace of its own tools out in the history.
        let by_name = |entry: &&ToolEntry| namespace.is_none() && entry.name == name;
        let known = self.entries.iter().find(exact).or_else(|| self.entries.iter().find(by_name));
        known.map_or_else(|| flatten(namespace, name), |entry| entry.flat.clone())
    }

    /// The flat name of a tool a `tool_choice` names.
    pub fn chosen(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.name == name || entry.flat == name)
            .map(|entry| entry.flat.as_str())
    }

    /// Gives a tool its flat name; `None` when it was declared before.
    pub(in crate::inbound) fn insert(
        &mut self,
        namespace: Option<&str>,
        name: &str,
        kind: ToolKind,
    ) -> Option<String> {
        if self.entries.iter().any(|entry| entry.name == name && entry.namespace.as_deref() == namespace) {
            return None;
        }
        let flat = self.unique(&flatten(namespace, name));
        self.entries.push(ToolEntry {
            flat: flat.clone(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            kind,
        });
        Some(flat)
    }

    /// Two different tools never share a flat name.
    fn unique(&self, flat: &str) -> String {
        let mut candidate = flat.to_owned();
        let mut number = 2u32;
        while self.entries.iter().any(|entry| entry.flat == candidate) {
            let tail = format!("_{number}");
            candidate = flat.chars().take(MAX_NAME - tail.len()).collect();
            candidate.push_str(&tail);
            number += 1;
        }
        candidate
    }
}

/// What a reader of declarations fills.
pub(in crate::inbound) struct ToolTable<'t> {
    /// The names, for the way back.
    pub(in crate::inbound) map: &'t mut ToolMap,
    /// The turn's own list.
    pub(in crate::inbound) declared: &'t mut Vec<Tool>,
    /// What was left out.
    pub(in crate::inbound) notes: &'t mut Notes,
}

/// OpenAI's `allowed_tools`: leaves only the tools of these flat names. `required` says that the model has to call one of them.
pub(in crate::inbound) fn restrict(declared: &mut Vec<Tool>, allowed: &[&str], required: bool) -> ToolChoice {
    declared.retain(|tool| allowed.contains(&tool.name.as_str()));
    match (required, allowed) {
        (_, []) => ToolChoice::None,
        (true, [only]) => ToolChoice::Function((*only).to_owned()),
        (true, _) => ToolChoice::Required,
        (false, _) => ToolChoice::Auto,
    }
}

/// `namespace__name` in the characters and the length every provider takes. A prefix that is already there is not repeated.
fn flatten(namespace: Option<&str>, name: &str) -> String {
    let joined = match namespace {
        // Codex's own namespace for plain tools: their bare names are what models know.
        Some("functions") => name.to_owned(),
        Some(namespace) if !name.starts_with(&format!("{namespace}__")) => format!("{namespace}__{name}"),
        _ => name.to_owned(),
    };
    let safe: String = joined
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .collect();
    if safe.len() <= MAX_NAME {
        return if safe.is_empty() { "tool".to_owned() } else { safe };
    }
    // A hash of the whole name keeps long names with the same beginning apart.
    let hash =
        joined.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let head: String = safe.chars().take(MAX_NAME - 9).collect();
    format!("{head}_{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(tools: &[(Option<&str>, &str)]) -> (ToolMap, Vec<String>) {
        let mut map = ToolMap::default();
        let flats = tools
            .iter()
            .filter_map(|(namespace, name)| map.insert(*namespace, name, ToolKind::Function))
            .collect();
        (map, flats)
    }

    #[test]
    fn names_fit_every_provider_and_are_found_again() {
        let long = "ö".repeat(80);
        let (map, flats) =
            map(&[(Some("mcp__lab"), "add"), (Some("a b"), &long), (None, ""), (Some("functions"), "exec")]);
        assert!(
            flats.iter().all(|flat| flat.is_ascii() && !flat.is_empty() && flat.len() <= MAX_NAME),
            "{flats:?}"
        );
        assert_eq!(
            (flats[0].as_str(), flats[2].as_str(), flats[3].as_str()),
            ("mcp__lab__add", "tool", "exec")
        );
        let entry = map.find("mcp__lab__add").expect("known");
        assert_eq!((entry.namespace.as_deref(), entry.name.as_str()), (Some("mcp__lab"), "add"));
        assert_eq!(map.flat(Some("mcp__lab"), "add"), "mcp__lab__add");
        assert_eq!(map.flat(None, "add"), "mcp__lab__add", "a history may leave the namespace out");
        assert_eq!(map.flat(Some("gone"), "tool"), "gone__tool", "a tool of an earlier time has a name too");
        assert_eq!(map.chosen("add"), Some("mcp__lab__add"));
    }

    #[test]
    fn two_tools_never_share_a_name_and_one_is_declared_once() {
        let (map, flats) = map(&[(None, "a__b"), (Some("a"), "b"), (None, "a__b")]);
        assert_eq!(flats, ["a__b", "a__b_2"]);
        assert_eq!(map.flat(Some("a"), "b"), "a__b_2");
    }
    #[test]
    fn only_allowed_tools_stay() {
        let tool =
            |name: &str| Tool { name: name.to_owned(), description: None, parameters: None, strict: None };
        for (allowed, required, want, left) in [
            (&["a", "b"][..], true, ToolChoice::Required, 2),
            (&["a", "b"], false, ToolChoice::Auto, 2),
            (&["b"], true, ToolChoice::Function("b".to_owned()), 1),
            (&[], true, ToolChoice::None, 0),
        ] {
            let mut declared = ["a", "b", "c"].map(tool).to_vec();
            assert_eq!(restrict(&mut declared, allowed, required), want, "{allowed:?}");
            assert_eq!(declared.len(), left, "{allowed:?}");
        }
    }
}
