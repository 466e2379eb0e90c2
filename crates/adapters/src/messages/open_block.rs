//! One block of an answer while it arrives.

use latimer_protocol::messages::event::{MessagesBlock, MessagesBlockKind, MessagesDelta};
use latimer_protocol::turn::{EventSink, OpaqueState, StateOwner, StreamNote, TurnEvent};
use serde_json::{Value, json};

use crate::reader::ReaderContext;

/// A block that is not over.
#[derive(Debug)]
pub(super) struct OpenBlock {
    pub(super) index: u64,
    kind: BlockState,
}

#[derive(Debug)]
enum BlockState {
    /// Words, kept only where the answer may be paused.
    Text(Option<String>),
    /// Thoughts; their words go back with the signature, exactly as they came.
    Thinking { text: String, signature: String },
    /// A call. `whole` are arguments that came with its beginning (fixture anthropic/call-with-whole-input.sse).
    Call { slot: u32, whole: Option<String>, any: bool },
    /// A block of the provider's own tools, kept to go back as it was.
    Other { block: Value, input: String },
}

impl OpenBlock {
    /// Takes the beginning of a block. `None` for one that is over already.
    pub(super) fn begin(
        index: u64,
        block: &MessagesBlock<'_>,
        data: &str,
        slots: &mut u32,
        keep: bool,
        context: &ReaderContext,
        sink: &mut dyn EventSink,
    ) -> Option<Self> {
        let kind = match MessagesBlockKind::of(block.kind.some().unwrap_or_default()) {
            MessagesBlockKind::Text => {
                let text = block.text.some();
                if let Some(text) = text {
                    sink.event(TurnEvent::Text(text));
                }
                BlockState::Text(keep.then(|| text.unwrap_or_default().to_owned()))
            }
            MessagesBlockKind::Thinking => {
                let text = block.thinking.some().unwrap_or_default().to_owned();
                if !text.is_empty() {
                    sink.event(TurnEvent::Reasoning(&text));
                }
                BlockState::Thinking {
                    text,
                    signature: block.signature.some().unwrap_or_default().to_owned(),
                }
            }
            MessagesBlockKind::RedactedThinking => {
                let block =
                    json!({ "type": "redacted_thinking", "data": block.data.some().unwrap_or_default() });
                let opaque = OpaqueState { owner: context.owner.clone(), data: block.to_string() };
                sink.event(TurnEvent::ReasoningState(opaque));
                BlockState::Other { block, input: String::new() }
            }
            MessagesBlockKind::ToolUse => {
                let (slot, name) = (*slots, context.names.client_name(block.name.some().unwrap_or_default()));
                if name.is_empty() {
                    sink.event(TurnEvent::Note(StreamNote::UnnamedCall.into()));
                    return None;
                }
                *slots += 1;
                sink.event(TurnEvent::CallStarted { slot, id: block.id.some(), name });
                let whole = block.input.map(|input| input.get().trim().to_owned());
                BlockState::Call { slot, whole: whole.filter(|whole| whole.starts_with('{')), any: false }
            }
            MessagesBlockKind::Other => {
                sink.event(TurnEvent::Note(StreamNote::UnknownBlock.into()));
                let mut event: Value = serde_json::from_str(data).unwrap_or_default();
                let block = event.get_mut("content_block").map(Value::take).filter(Value::is_object)?;
                BlockState::Other { block, input: String::new() }
            }
        };
        Some(Self { index, kind })
    }

    /// The hot path: nothing is allocated but room for what must be kept.
    pub(super) fn delta(&mut self, delta: &MessagesDelta<'_>, sink: &mut dyn EventSink) {
        match &mut self.kind {
            BlockState::Text(collected) => {
                if let Some(text) = delta.text.some() {
                    if let Some(collected) = collected {
                        collected.push_str(text);
                    }
                    sink.event(TurnEvent::Text(text));
                }
            }
            BlockState::Thinking { text, signature } => {
                if let Some(thoughts) = delta.thinking.some() {
                    text.push_str(thoughts);
                    sink.event(TurnEvent::Reasoning(thoughts));
                }
                signature.push_str(delta.signature.some().unwrap_or_default());
            }
            BlockState::Call { slot, any, .. } => {
                if let Some(json) = delta.partial_json.some() {
                    *any = true;
                    sink.event(TurnEvent::CallArguments { slot: *slot, json });
                }
            }
            BlockState::Other { input, .. } => input.push_str(delta.partial_json.some().unwrap_or_default()),
        }
    }

    /// The block is over. Gives it as it would be sent back, where it may go back in the same answer.
    pub(super) fn end(self, owner: &StateOwner, sink: &mut dyn EventSink) -> Option<Value> {
        match self.kind {
            BlockState::Text(collected) => {
                collected.filter(|text| !text.is_empty()).map(|text| json!({ "type": "text", "text": text }))
            }
            BlockState::Thinking { text, signature } => {
                // Without a signature the thoughts may not go back (fixture anthropic/thinking-without-signature.sse).
                if signature.is_empty() {
                    return None;
                }
                let block = json!({ "type": "thinking", "thinking": text, "signature": signature });
                let opaque = OpaqueState { owner: owner.clone(), data: block.to_string() };
                sink.event(TurnEvent::ReasoningState(opaque));
                Some(block)
            }
            BlockState::Call { slot, whole, any } => {
                if !any {
                    let json = whole.as_deref().unwrap_or("{}");
                    sink.event(TurnEvent::CallArguments { slot, json });
                }
                sink.event(TurnEvent::CallEnded { slot });
                None
            }
            BlockState::Other { mut block, input } => {
                if let (Ok(input), Some(block)) =
                    (serde_json::from_str::<Value>(&input), block.as_object_mut())
                {
                    block.insert("input".into(), input);
                }
                Some(block)
            }
        }
    }
}
