//! Calls that the upstream reported as calls: passed on as they stream where nothing can be wrong with them, else held until they are
//! whole, and mended.
//!
//! Invariant: calls go out in the order in which they began. A client runs them in that order, and the second may need the first.

use latimer_protocol::turn::{EventSink, TurnEvent};
use toolcall_parser::{Options, ProblemKind, Tool, sanitize};

use super::Made;
use super::ask::Meant;

/// Keys that may be a wrapper around the arguments.
const WRAPPERS: [&str; 4] = ["arguments", "input", "parameters", "properties"];
/// A first key longer than this is not waited for.
const MOST_HEAD: usize = 256;

/// The calls that are under way.
#[derive(Debug, Default)]
pub(super) struct Natives {
    open: Vec<Native>,
}

#[derive(Debug)]
struct Native {
    /// The upstream's number for it.
    upstream: u32,
    /// Ours.
    slot: u32,
    id: Option<String>,
    name: String,
    held: Held,
    /// The upstream has ended it.
    ended: bool,
}

/// How far a call is trusted.
#[derive(Debug)]
enum Held {
    /// Not yet: these are its arguments so far.
    Yes(String),
    /// Until it is whole.
    ToTheEnd(String),
    /// It may pass as soon as it is its turn.
    Right(String),
    /// Its pieces pass as they come.
    No,
}

impl Natives {
    pub(super) fn started(
        &mut self,
        upstream: u32,
        id: Option<&str>,
        name: &str,
        options: &Options,
        made: &mut Made,
        sink: &mut dyn EventSink,
    ) {
        made.before_call(sink);
        let slot = made.slot();
        made.calls += 1;
        let mut native = Native {
            upstream,
            slot,
            id: id.map(str::to_owned),
            name: name.to_owned(),
            held: Held::Yes(String::new()),
            ended: false,
        };
        // A name nobody declared is the client's to refuse, unless it stands for a tool that is declared.
        if !declared(name, options) && sanitize(name, "{\"cmd\":\"x\"}", options).is_err() {
            native.held = Held::Right(String::new());
        } else if runs_commands(name) {
            native.held = Held::ToTheEnd(String::new());
        }
        self.open.push(native);
        self.advance(options, made, sink);
    }

    pub(super) fn arguments(
        &mut self,
        upstream: u32,
        json: &str,
        options: &Options,
        made: &mut Made,
        sink: &mut dyn EventSink,
    ) {
        let Some(native) = self.open.iter_mut().find(|native| native.upstream == upstream) else { return };
        match &mut native.held {
            Held::No => return sink.event(TurnEvent::CallArguments { slot: native.slot, json }),
            Held::ToTheEnd(text) | Held::Right(text) => return text.push_str(json),
            Held::Yes(text) => {
                text.push_str(json);
                match looks_right(text, options.tools.iter().find(|tool| tool.name() == native.name)) {
                    Some(true) => native.held = Held::Right(std::mem::take(text)),
                    Some(false) => native.held = Held::ToTheEnd(std::mem::take(text)),
                    None => {}
                }
            }
        }
        self.advance(options, made, sink);
    }

    pub(super) fn ended(
        &mut self,
        upstream: u32,
        options: &Options,
        made: &mut Made,
        sink: &mut dyn EventSink,
    ) {
        let Some(native) = self.open.iter_mut().find(|native| native.upstream == upstream) else { return };
        native.ended = true;
        self.advance(options, made, sink);
    }

    /// Lets out what may go out: everything up to the first call that is still held.
    fn advance(&mut self, options: &Options, made: &mut Made, sink: &mut dyn EventSink) {
        let mut at = 0;
        while let Some(native) = self.open.get_mut(at) {
            if native.ended {
                self.open.remove(at).end(true, options, made, sink);
                continue;
            }
            match &mut native.held {
                Held::No => {}
                Held::Right(text) => {
                    let text = std::mem::take(text);
                    native.pass(&text, sink);
                }
                Held::Yes(_) | Held::ToTheEnd(_) => return,
            }
            at += 1;
        }
    }

    /// Whether no call is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The answer is over: what is still open was cut.
    pub(super) fn finish(&mut self, options: &Options, made: &mut Made, sink: &mut dyn EventSink) {
        for native in std::mem::take(&mut self.open) {
            let ended = native.ended;
            native.end(ended, options, made, sink);
        }
    }
}

impl Native {
    fn pass(&mut self, arguments: &str, sink: &mut dyn EventSink) {
        self.held = Held::No;
        sink.event(TurnEvent::CallStarted { slot: self.slot, id: self.id.as_deref(), name: &self.name });
        if !arguments.is_empty() {
            sink.event(TurnEvent::CallArguments { slot: self.slot, json: arguments });
        }
    }

    /// `whole` says that the upstream ended the call; a cut one is handed on as it is, and the writer treats it as cut.
    fn end(mut self, whole: bool, options: &Options, made: &mut Made, sink: &mut dyn EventSink) {
        let arguments = match std::mem::replace(&mut self.held, Held::No) {
            Held::No => {
                if whole {
                    sink.event(TurnEvent::CallEnded { slot: self.slot });
                }
                return;
            }
            Held::Yes(text) | Held::ToTheEnd(text) | Held::Right(text) => text,
        };
        if !whole {
            return self.pass(&arguments, sink);
        }
        match sanitize(&self.name, &arguments, options) {
            Ok(call) => {
                made.repairs += u32::from(!call.repairs.is_empty());
                if made.stuck.as_ref().is_some_and(|stuck| stuck.is(&call)) {
                    sink.event(TurnEvent::Note(&format!(
                        "the model makes the same call again and again: {}",
                        call.name
                    )));
                }
                for repair in &call.repairs {
                    sink.event(TurnEvent::Note(&format!("call {}: {repair}", call.name)));
                }
                self.name = call.name;
                self.pass(&call.arguments, sink);
                sink.event(TurnEvent::CallEnded { slot: self.slot });
            }
            Err(problem) if problem.kind == ProblemKind::NoCommand => {
                made.calls -= 1;
                let problem = problem.to_string();
                sink.event(TurnEvent::Note(&problem));
                made.meant = Some(Meant::Call(ProblemKind::NoCommand));
                made.problem = Some(problem);
            }
            // The writer refuses arguments that are no JSON, and the client a tool it does not know.
            Err(problem) => {
                sink.event(TurnEvent::Note(&problem.to_string()));
                self.pass(&arguments, sink);
                sink.event(TurnEvent::CallEnded { slot: self.slot });
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
    let Some((key, _)) = key.split_once('"') else { return (key.len() > MOST_HEAD).then_some(false) };
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
