//! A call that is still being written: its name and what is certain of its arguments go out before it is whole.
//!
//! Only calls to a tool that is declared by exactly that name, and whose arguments nobody has to unwrap or adapt, are announced early.
//! Should the whole call turn out otherwise, the announced one is refused and the right one takes its place.

use crate::engine::tagged;
use crate::engine::{Engine, EngineState, ValueSyntax};
use crate::json::{Value, escape, write_string};
use crate::options::Options;
use crate::settle::Typing;
use crate::shell::Shell;
use crate::tool::Tool;

/// Keys behind which the real arguments may hide: such a call is not announced.
const WRAPPERS: [&str; 4] = ["arguments", "input", "parameters", "properties"];

/// What has been said of a call.
#[derive(Debug)]
pub(super) struct Progress {
    /// Its number.
    pub(super) index: usize,
    pub(super) name: String,
    /// The arguments so far.
    pub(super) sent: String,
    /// How much of `sent` has gone out.
    pub(super) out: usize,
    /// Parameters that are whole in `sent`.
    parameters: usize,
    /// Bytes of the open parameter's text that are in `sent`.
    value: Option<usize>,
    /// Bytes of the source that are in `sent`.
    source: usize,
}

impl Progress {
    pub(super) fn new(index: usize, name: &str) -> Self {
        let (sent, name) = (String::new(), name.to_owned());
        Self { index, name, sent, out: 0, parameters: 0, value: None, source: 0 }
    }

    /// The tool of the call that a machine is in the middle of, if it may be announced.
    pub(super) fn tool<'o>(
        engine: &Engine,
        state: &EngineState,
        text: &str,
        options: &'o Options,
    ) -> Option<&'o Tool> {
        let begun = match engine {
            Engine::Named(_) => state.span.is_some(),
            Engine::Tagged(_) => !state.parameters.is_empty() || (state.value > 0 && state.key.end > 0),
            _ => false,
        };
        let tool = options.tool(text.get(state.name.clone())?).filter(|_| begun)?;
        let wraps = |key: &str| WRAPPERS.contains(&key) && !tool.declares(key);
        let hides = match engine {
            Engine::Named(_) => first_key(&text[state.value..]).is_none_or(wraps),
            _ => wraps(&text[state.parameters.first().map_or(state.key.clone(), |slot| slot.key.clone())]),
        };
        (Shell::of(tool).is_none() && !hides).then_some(tool)
    }

    /// Takes in what has become certain.
    pub(super) fn advance(&mut self, engine: &Engine, state: &EngineState, text: &str, tool: &Tool) {
        match engine {
            Engine::Named(_) => {
                let Some(span) = &state.span else { return };
                let certain = span.position().min(text.len());
                let from = state.value + self.source;
                if certain > from && text.is_char_boundary(certain) {
                    self.sent.push_str(&text[from..certain]);
                    self.source = certain - state.value;
                }
            }
            Engine::Tagged(grammar) => self.tagged(grammar, state, text, tool),
            _ => {}
        }
    }

    fn tagged(&mut self, grammar: &tagged::TaggedGrammar, state: &EngineState, text: &str, tool: &Tool) {
        while let Some(slot) = state.parameters.get(self.parameters) {
            let value = grammar.layout.value(&text[slot.value.clone()]);
            if let Some(sent) = self.value.take() {
                escape(value.get(sent..).unwrap_or_default(), &mut self.sent);
                self.sent.push('"');
            } else {
                let key = &text[slot.key.clone()];
                self.key(key);
                typed(slot.typing, key, value, tool).write(&mut self.sent);
            }
            self.parameters += 1;
        }
        let open = state.value > 0
            && state.key.end > 0
            && state.parameters.last().is_none_or(|slot| slot.key != state.key);
        if !open || !is_text(state.typing, tool, &text[state.key.clone()]) {
            return;
        }
        let Some(value) = text.get(state.value..state.at.max(state.value)) else { return };
        let Some(value) = grammar.layout.certain(value) else { return };
        let sent = if let Some(sent) = self.value {
            sent
        } else {
            self.key(&text[state.key.clone()]);
            self.sent.push('"');
            0
        };
        escape(value.get(sent..).unwrap_or_default(), &mut self.sent);
        self.value = Some(value.len().max(sent));
    }

    fn key(&mut self, key: &str) {
        self.sent.push(if self.sent.is_empty() { '{' } else { ',' });
        write_string(key, &mut self.sent);
        self.sent.push(':');
    }
}

/// The first key of an object, once it is there.
fn first_key(object: &str) -> Option<&str> {
    let inside = object.strip_prefix('{')?.trim_start().strip_prefix('"')?;
    inside.split_once('"').map(|(key, _)| key)
}

fn typed<'a>(kind: ValueSyntax, key: &str, value: &'a str, tool: &Tool) -> Value<'a> {
    match kind {
        ValueSyntax::Schema => Typing::Schema(value),
        ValueSyntax::Text => Typing::Text(value),
        ValueSyntax::Json => Typing::Json(value),
    }
    .value(key, tool)
}

/// Whether a parameter's text is a string whatever it says.
fn is_text(typing: ValueSyntax, tool: &Tool, key: &str) -> bool {
    match typing {
        ValueSyntax::Text => true,
        ValueSyntax::Schema => tool.takes_only_string(key),
        ValueSyntax::Json => false,
    }
}
