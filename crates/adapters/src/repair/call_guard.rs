//! The calls of an answer that is not repaired: handed on when they are whole, and otherwise not at all.
//!
//! Mending may be switched off, but a text that is no object is nobody's arguments: a client that adds pieces up runs what it has. So
//! copies of an object are one call, several objects several, and an answer whose call is broken has failed.

use std::sync::Arc;

use latimer_protocol::failure::FailureKind;
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent};

use super::call_rules::{CallRules, broken_call};
use super::frame_calls::FrameCalls;
use super::held_calls::{HeldCall, HeldCalls};
use super::note;

/// Stands between the events of an answer and the client's writer.
#[derive(Debug)]
pub struct CallGuard {
    rules: Arc<CallRules>,
    frames: Option<Box<dyn FrameCalls>>,
    held: HeldCalls,
    next_slot: u32,
    /// The tool of the call that came out broken: nothing of the answer is handed on behind it.
    broken: Option<String>,
}

impl CallGuard {
    /// For one answer; `frames` finds calls in the upstream's own events, where those may come.
    pub fn new(rules: Arc<CallRules>, frames: Option<Box<dyn FrameCalls>>) -> Self {
        Self { rules, frames, held: HeldCalls::default(), next_slot: 0, broken: None }
    }

    /// Takes one event and hands out what becomes of it.
    pub fn event(&mut self, event: TurnEvent<'_>, sink: &mut dyn EventSink) {
        match event {
            TurnEvent::CallStarted { slot, id, name } => self.held.begin(slot, id, name),
            TurnEvent::CallArguments { slot, json } => self.held.arguments(slot, json),
            TurnEvent::CallEnded { slot } => {
                self.held.end(slot);
                while let Some(call) = self.held.next_ended() {
                    self.hand_out(call, sink);
                }
            }
            TurnEvent::Frame(frame) => match &mut self.frames {
                Some(frames) => frames.frame(&frame, sink),
                None => sink.event(TurnEvent::Frame(frame)),
            },
            TurnEvent::Finished(reason) => self.finish(reason, sink),
            event if self.broken.is_some() && event.is_semantic() => {}
            event => sink.event(event),
        }
    }

    fn hand_out(&mut self, call: HeldCall, sink: &mut dyn EventSink) {
        if self.broken.is_some() {
            return;
        }
        let HeldCall { id, name, arguments, .. } = call;
        let calls = arguments.text(&name).and_then(|text| self.rules.calls(&name, text));
        // They may be long, and are in the calls now.
        drop(arguments);
        let calls = match calls {
            Ok(calls) => calls,
            Err(problem) => {
                sink.event(TurnEvent::Note(note::not_a_call(&problem)));
                self.broken = Some(name);
                return;
            }
        };
        for (place, whole) in calls.iter().enumerate() {
            note::mended(whole, self.rules.declares(&whole.name))
                .for_each(|note| sink.event(TurnEvent::Note(note)));
            let slot = self.next_slot;
            self.next_slot += 1;
            // The id is that of the first: two calls never share one.
            let id = id.as_deref().filter(|_| place == 0);
            sink.event(TurnEvent::CallStarted { slot, id, name: &whole.name });
            sink.event(TurnEvent::CallArguments { slot, json: &whole.arguments });
            sink.event(TurnEvent::CallEnded { slot });
        }
    }

    fn finish(&mut self, reason: FinishReason, sink: &mut dyn EventSink) {
        let by_itself = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        let may_go = !matches!(reason, FinishReason::Failed(_));
        while may_go && let Some(call) = self.held.next_at_end(by_itself) {
            self.hand_out(call, sink);
        }
        let in_frames = self.frames.as_mut().and_then(|frames| frames.finish(&reason, sink));
        let reason = match self.broken.take().or(in_frames).filter(|_| by_itself) {
            Some(name) => {
                let is_declared = self.rules.declares(&name);
                FinishReason::Failed(broken_call(FailureKind::UpstreamError, &name, is_declared))
            }
            None => reason,
        };
        sink.event(TurnEvent::Finished(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{RecordedEvents, Tool, TurnRequest};
    use proptest::prelude::*;
    use toolcall_parser::Rules;

    fn guard() -> CallGuard {
        let schema = r#"{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}"#;
        let tool = Tool {
            name: "shell".to_owned(),
            description: None,
            parameters: serde_json::from_str(schema).ok(),
            strict: None,
        };
        CallGuard::new(
            CallRules::new(Rules::Objects, &TurnRequest { tools: vec![tool], ..TurnRequest::default() }),
            None,
        )
    }

    /// What comes out of a call in these pieces, notes aside.
    fn run(pieces: &[&str], reason: FinishReason) -> Vec<String> {
        let (mut guard, mut record) = (guard(), RecordedEvents::default());
        guard.event(TurnEvent::CallStarted { slot: 0, id: Some("c"), name: "shell" }, &mut record);
        for json in pieces {
            guard.event(TurnEvent::CallArguments { slot: 0, json }, &mut record);
        }
        guard.event(TurnEvent::CallEnded { slot: 0 }, &mut record);
        guard.event(TurnEvent::Finished(reason), &mut record);
        record.lines.into_iter().filter(|line| !line.starts_with("note ")).collect()
    }

    #[test]
    fn only_whole_calls_are_handed_on() {
        let lines = run(&["{\"command\":", "\"ls\"}", "{\"command\":\"ls\"}"], FinishReason::ToolCalls);
        assert_eq!(
            lines,
            ["call 0 c shell", r#"args 0 "{\"command\":\"ls\"}""#, "end 0", "finished tool_calls"]
        );
        let lines = run(&["{\"command\":\"a\"}{\"command\":\"b\"}"], FinishReason::ToolCalls);
        assert_eq!(lines[..2], ["call 0 c shell", r#"args 0 "{\"command\":\"a\"}""#]);
        assert_eq!(lines[3..5], ["call 1 - shell", r#"args 1 "{\"command\":\"b\"}""#]);
        for reason in [FinishReason::Stop, FinishReason::ToolCalls] {
            let lines = run(&["{\"command\":\"rm -rf "], reason);
            assert!(
                matches!(lines.as_slice(), [one] if one.starts_with("finished failed upstream_error")),
                "{lines:?}"
            );
        }
        assert_eq!(run(&["{\"command\":\"rm -rf "], FinishReason::Length), ["finished length"]);
    }

    proptest! {
        #[test]
        fn right_arguments_pass_byte_for_byte_however_they_are_cut(
            text in "(\\PC|[\"\\\\{}\\[\\],\n]){0,24}",
            size in 1usize..9,
        ) {
            let arguments = serde_json::json!({ "command": text, "more": [text, { "a": 1 }] }).to_string();
            let chars: Vec<char> = arguments.chars().collect();
            let pieces: Vec<String> = chars.chunks(size).map(|piece| piece.iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let lines = run(&pieces, FinishReason::ToolCalls);
            prop_assert_eq!(&lines[1], &format!("args 0 {arguments:?}"));
            let cut = run(&pieces[..pieces.len() - 1], FinishReason::ToolCalls);
            prop_assert_eq!(cut.len(), 1);
        }
    }
}
