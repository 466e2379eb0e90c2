//! Calls that the upstream reported as calls: passed on as they stream where nothing can be wrong with them, else held until they are
//! whole, and mended.
//!
//! Invariant: calls go out in the order in which they began. A client runs them in that order, and the second may need the first.

use latimer_protocol::turn::{EventSink, RepairNote, TurnEvent};
use toolcall_parser::{Options, ProblemKind, Tool, sanitize};

use super::note;
use super::state::RepairState;

/// Keys that may be a wrapper around the arguments.
const WRAPPERS: [&str; 4] = ["arguments", "input", "parameters", "properties"];
/// The longest first key, in bytes, that is waited for.
const MAX_FIRST_KEY: usize = 256;

/// The calls that are under way.
#[derive(Debug, Default)]
pub(super) struct NativeCalls {
    open: Vec<NativeCall>,
}

/// What a call is checked against, and where it goes.
pub(super) struct CallContext<'a> {
    pub(super) options: &'a Options,
    pub(super) state: &'a mut RepairState,
    pub(super) sink: &'a mut dyn EventSink,
}

#[derive(Debug)]
struct NativeCall {
    /// The upstream's number for it.
    upstream_slot: u32,
    /// Ours.
    slot: u32,
    id: Option<String>,
    name: String,
    arguments: Arguments,
    /// The upstream has ended it.
    ended: bool,
}

/// How far a call is trusted. What is held is its arguments so far.
#[derive(Debug)]
enum Arguments {
    /// Too early to tell.
    Undecided(String),
    /// Held until they are whole.
    HeldToTheEnd(String),
    /// They may pass as soon as it is the call's turn.
    Trusted(String),
    /// Their pieces pass as they come.
    Passing,
}

impl NativeCalls {
    pub(super) fn started(
        &mut self,
        upstream_slot: u32,
        id: Option<&str>,
        name: &str,
        context: &mut CallContext<'_>,
    ) {
        let slot = context.state.begin_call(context.sink);
        let (id, name) = (id.map(str::to_owned), name.to_owned());
        // A name nobody declared is the client's to refuse, unless it stands for a tool that is declared.
        let is_foreign =
            !declared(&name, context.options) && sanitize(&name, "{\"cmd\":\"x\"}", context.options).is_err();
        let arguments = if is_foreign {
            Arguments::Trusted(String::new())
        } else if runs_commands(&name) {
            Arguments::HeldToTheEnd(String::new())
        } else {
            Arguments::Undecided(String::new())
        };
        self.open.push(NativeCall { upstream_slot, slot, id, name, arguments, ended: false });
        self.advance(context);
    }

    pub(super) fn arguments(&mut self, upstream_slot: u32, json: &str, context: &mut CallContext<'_>) {
        let Some(call) = self.find(upstream_slot) else { return };
        match &mut call.arguments {
            Arguments::Passing => {
                return context.sink.event(TurnEvent::CallArguments { slot: call.slot, json });
            }
            Arguments::HeldToTheEnd(text) | Arguments::Trusted(text) => return text.push_str(json),
            Arguments::Undecided(text) => {
                text.push_str(json);
                let tool = context.options.tools.iter().find(|tool| tool.name() == call.name);
                match looks_right(text, tool) {
                    Some(true) => call.arguments = Arguments::Trusted(std::mem::take(text)),
                    Some(false) => call.arguments = Arguments::HeldToTheEnd(std::mem::take(text)),
                    None => {}
                }
            }
        }
        self.advance(context);
    }

    pub(super) fn ended(&mut self, upstream_slot: u32, context: &mut CallContext<'_>) {
        let Some(call) = self.find(upstream_slot) else { return };
        call.ended = true;
        self.advance(context);
    }

    fn find(&mut self, upstream_slot: u32) -> Option<&mut NativeCall> {
        self.open.iter_mut().find(|call| call.upstream_slot == upstream_slot)
    }

    /// Lets out what may go out: everything up to the first call that is still held.
    fn advance(&mut self, context: &mut CallContext<'_>) {
        let mut at = 0;
        while let Some(call) = self.open.get_mut(at) {
            if call.ended {
                self.open.remove(at).end(context);
                continue;
            }
            match &mut call.arguments {
                Arguments::Passing => {}
                Arguments::Trusted(text) => {
                    let text = std::mem::take(text);
                    call.pass(&text, context.sink);
                }
                Arguments::Undecided(_) | Arguments::HeldToTheEnd(_) => return,
            }
            at += 1;
        }
    }

    /// Whether no call is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The answer is over: what is still open was cut.
    pub(super) fn finish(&mut self, context: &mut CallContext<'_>) {
        for call in std::mem::take(&mut self.open) {
            call.end(context);
        }
    }
}

impl NativeCall {
    /// From here on the call's pieces pass as they come.
    fn pass(&mut self, arguments: &str, sink: &mut dyn EventSink) {
        self.arguments = Arguments::Passing;
        sink.event(TurnEvent::CallStarted { slot: self.slot, id: self.id.as_deref(), name: &self.name });
        if !arguments.is_empty() {
            sink.event(TurnEvent::CallArguments { slot: self.slot, json: arguments });
        }
    }

    /// A call that the upstream did not end was cut: it is handed on as it is, and the writer treats it as cut.
    fn end(mut self, context: &mut CallContext<'_>) {
        match std::mem::replace(&mut self.arguments, Arguments::Passing) {
            Arguments::Passing if self.ended => {
                context.sink.event(TurnEvent::CallEnded { slot: self.slot });
            }
            Arguments::Passing => {}
            Arguments::Undecided(text) | Arguments::HeldToTheEnd(text) | Arguments::Trusted(text) => {
                if self.ended { self.end_held(&text, context) } else { self.pass(&text, context.sink) }
            }
        }
    }

    /// The call is whole, and nothing of it was handed out.
    fn end_held(mut self, arguments: &str, context: &mut CallContext<'_>) {
        match sanitize(&self.name, arguments, context.options) {
            Ok(call) => {
                context.state.repairs += u32::from(!call.repairs.is_empty());
                if context.state.is_repeated(&call) {
                    let note = RepairNote::RepeatedCall { name: call.name.clone(), is_made: true };
                    context.sink.event(TurnEvent::Note(note.into()));
                }
                for note in note::mended(&call) {
                    context.sink.event(TurnEvent::Note(note));
                }
                self.name = call.name;
                self.pass(&call.arguments, context.sink);
                context.sink.event(TurnEvent::CallEnded { slot: self.slot });
            }
            Err(problem) if problem.kind == ProblemKind::NoCommand => {
                context.sink.event(TurnEvent::Note(note::not_a_call(&problem)));
                context.state.withdraw_call(problem.to_string());
            }
            // The writer refuses arguments that are no JSON, and the client a tool it does not know.
            Err(problem) => {
                context.sink.event(TurnEvent::Note(note::not_a_call(&problem)));
                self.pass(arguments, context.sink);
                context.sink.event(TurnEvent::CallEnded { slot: self.slot });
            }
        }
    }
}

fn declared(name: &str, options: &Options) -> bool {
    options.tools.iter().any(|tool| tool.name() == name)
}

/// Commands are short, and wrapped more often than anything else: they are looked at whole.
fn runs_commands(name: &str) -> bool {
    ["exec", "shell", "bash", "command", "terminal"].iter().any(|word| name.contains(word))
}

/// Whether arguments that begin like this can pass as they come: an object whose first key is a parameter. `None` when it is too
/// early to tell.
fn looks_right(text: &str, tool: Option<&Tool>) -> Option<bool> {
    let rest = text.trim_start();
    let Some(inside) = rest.strip_prefix('{') else { return (!rest.is_empty()).then_some(false) };
    let Some(key) = inside.trim_start().strip_prefix('"') else {
        return (!inside.trim_start().is_empty()).then_some(false);
    };
    let Some((key, _)) = key.split_once('"') else { return (key.len() > MAX_FIRST_KEY).then_some(false) };
    let known = tool.is_none_or(|tool| {
        let mut parameters = tool.parameters().peekable();
        parameters.peek().is_none() || parameters.any(|name| name == key)
    });
    Some(known || !WRAPPERS.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_is_told_from_a_parameter() {
        let tool = Tool::new("f", r#"{"properties":{"path":{},"input":{}}}"#);
        for (text, want) in [
            ("", None),
            (" {", None),
            ("{\"pa", None),
            ("{\"path\"", Some(true)),
            ("{\"input\"", Some(true)),
            ("{\"arguments\"", Some(false)),
            ("{\"else\"", Some(true)),
            ("\"{", Some(false)),
            ("{}", Some(false)),
        ] {
            assert_eq!(looks_right(text, Some(&tool)), want, "{text}");
        }
    }
}
