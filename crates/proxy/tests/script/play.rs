//! One line of a script, in the words of `TurnEvent`'s `Display`, as the event it stands for.

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, StateOwner, TurnEvent, Usage};

/// Plays one line.
pub(crate) fn play(sink: &mut dyn EventSink, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || {
        let quoted =
            rest.split_once(' ').map_or(rest, |(_, text)| if rest.starts_with('"') { rest } else { text });
        serde_json::from_str::<String>(quoted).expect(line)
    };
    let slot = || rest.split(' ').next().and_then(|slot| slot.parse().ok()).expect(line);
    match word {
        "started" => sink.event(TurnEvent::Started),
        "text" => sink.event(TurnEvent::Text(&text())),
        "refusal" => sink.event(TurnEvent::Refusal(&text())),
        "reasoning" => sink.event(TurnEvent::Reasoning(&text())),
        "state" => {
            sink.event(TurnEvent::ReasoningState(OpaqueState {
                owner: StateOwner::new("lab", "m"),
                data: text(),
            }));
        }
        "call" => {
            let words: Vec<&str> = rest.split(' ').collect();
            let id = Some(words[1]).filter(|id| *id != "-");
            sink.event(TurnEvent::CallStarted { slot: slot(), id, name: words[2] });
        }
        "args" => sink.event(TurnEvent::CallArguments { slot: slot(), json: &text() }),
        "end" => sink.event(TurnEvent::CallEnded { slot: slot() }),
        "usage" => sink.event(TurnEvent::Usage(Usage {
            input: Some(12),
            output: Some(7),
            cached: Some(3),
            ..Usage::default()
        })),
        "finished" => sink.event(TurnEvent::Finished(match rest {
            "stop" => FinishReason::Stop,
            "tool_calls" => FinishReason::ToolCalls,
            "length" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Failed(Failure::new(FailureKind::Interrupted, "lab: cut")),
        })),
        other => panic!("unknown word {other}"),
    }
}
