//! The arguments of an answer's calls without lone halves of UTF-16 pairs, whatever pieces they come in. Pure.

use latimer_protocol::surrogates::ArgumentHalves;
use latimer_protocol::turn::{EventSink, TurnEvent};

/// Mends the arguments that pass. Nothing is kept of a call whose arguments hold no escapes that a piece cuts.
#[derive(Debug, Default)]
pub(crate) struct CallHalves {
    /// What is kept back of a call, by its slot.
    held: Vec<(u32, ArgumentHalves)>,
}

impl CallHalves {
    /// Hands an event on, after what it makes certain.
    pub(crate) fn pass(&mut self, event: TurnEvent<'_>, sink: &mut dyn EventSink) {
        match event {
            TurnEvent::CallArguments { slot, json } => self.arguments(slot, json, sink),
            TurnEvent::CallEnded { slot } => {
                self.finish(Some(slot), sink);
                sink.event(event);
            }
            TurnEvent::Finished(_) => {
                self.finish(None, sink);
                sink.event(event);
            }
            event => sink.event(event),
        }
    }

    fn arguments(&mut self, slot: u32, json: &str, sink: &mut dyn EventSink) {
        let place = self.held.iter().position(|(held, _)| *held == slot);
        let mut fresh = ArgumentHalves::default();
        let halves = match place.and_then(|place| self.held.get_mut(place)) {
            Some((_, halves)) => halves,
            None => &mut fresh,
        };
        let certain = halves.push(json);
        if !certain.is_empty() {
            sink.event(TurnEvent::CallArguments { slot, json: &certain });
        }
        match place {
            Some(place) if halves.is_empty() => drop(self.held.swap_remove(place)),
            None if !fresh.is_empty() => self.held.push((slot, fresh)),
            _ => {}
        }
    }

    /// Nothing more comes for this call, or for any.
    fn finish(&mut self, ended: Option<u32>, sink: &mut dyn EventSink) {
        self.held.retain_mut(|(slot, halves)| {
            if ended.is_some_and(|ended| ended != *slot) {
                return true;
            }
            let json = halves.finish();
            if !json.is_empty() {
                sink.event(TurnEvent::CallArguments { slot: *slot, json: &json });
            }
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{FinishReason, RecordedEvents};

    #[test]
    fn calls_may_interleave_and_each_is_mended_by_itself() {
        let (mut calls, mut record) = (CallHalves::default(), RecordedEvents::default());
        let piece = |slot, json| TurnEvent::CallArguments { slot, json };
        for event in [
            piece(0, "{\"a\":\"\\ud83d"),
            piece(1, "{\"b\":\"\\ud8"),
            piece(0, "\\ude00\"}"),
            TurnEvent::CallEnded { slot: 0 },
            TurnEvent::Text("x"),
            piece(1, "3d\"}"),
            TurnEvent::CallEnded { slot: 1 },
            piece(2, "{\"c\":\"\\"),
            TurnEvent::Finished(FinishReason::ToolCalls),
        ] {
            calls.pass(event, &mut record);
        }
        assert_eq!(
            record.lines,
            [
                r#"args 0 "{\"a\":\"""#,
                r#"args 1 "{\"b\":\"""#,
                r#"args 0 "\\ud83d\\ude00\"}""#,
                "end 0",
                r#"text "x""#,
                r#"args 1 "\\ufffd\"}""#,
                "end 1",
                r#"args 2 "{\"c\":\"""#,
                r#"args 2 "\\""#,
                "finished tool_calls",
            ]
        );
    }
}
