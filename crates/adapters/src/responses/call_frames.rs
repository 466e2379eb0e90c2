//! Calls in the events of a Responses stream that go through to a client. Some clients run an item when it is done, others add its pieces
//! up, others look at the response at the end: an item is held until it is done, and all three say the same. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use latimer_protocol::responses::event::ResponsesEvent;
use latimer_protocol::turn::{EventSink, FinishReason, PassthroughFrame, TurnEvent};
use latimer_protocol::whole_object::is_whole_object;
use serde_json::{Map, Value, json};

use super::call_item::{CallForm, item_events, several};
use crate::repair::{CallRules, FrameCalls, HeldFrames, emit};

const ADDED: &str = "response.output_item.added";
const DONE: &str = "response.output_item.done";
/// Where the response stands whole.
const ENDS: [&str; 2] = ["response.completed", "response.incomplete"];

/// Follows the items of one stream.
#[derive(Debug)]
pub(crate) struct ResponsesCallFrames {
    rules: Arc<CallRules>,
    held: HeldFrames,
    /// The calls that are held.
    open: Vec<OpenCall>,
    /// Where items were added, by the upstream's index, and how many.
    inserted: Vec<(u64, u64)>,
    /// The number of the next event, once events were added or left out.
    sequence: Option<u64>,
    /// The tool of the call that nobody may run: nothing is handed on behind it but the end of an answer that was cut.
    broken: Option<String>,
}

#[derive(Debug)]
struct OpenCall {
    index: u64,
    form: CallForm,
    name: String,
    pieces: String,
    verdict: Verdict,
}

/// What becomes of a held call.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It is not done.
    Open,
    /// Its events go on as they came.
    Right,
    /// This item with each of these texts.
    Instead(Value, Vec<String>),
}

impl ResponsesCallFrames {
    pub(crate) fn new(rules: Arc<CallRules>) -> Self {
        Self {
            rules,
            held: HeldFrames::default(),
            open: Vec::new(),
            inserted: Vec::new(),
            sequence: None,
            broken: None,
        }
    }

    /// An item that has to be held.
    fn call_of(&self, item: &Value) -> Option<(CallForm, String)> {
        let form = CallForm::of(item)?;
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        let is_held = form == CallForm::Function || self.rules.takes_patches(name);
        is_held.then(|| (form, name.to_owned()))
    }

    /// The texts that may stand in the place of this one.
    fn texts(&self, form: CallForm, name: &str, text: &str) -> Option<Vec<String>> {
        match form {
            CallForm::Custom => Some(vec![self.rules.patch(name, text).unwrap_or_else(|| text.to_owned())]),
            CallForm::Function if text.trim().is_empty() => Some(vec![text.to_owned()]),
            CallForm::Function => {
                let calls = self.rules.calls(name, text).ok()?;
                Some(calls.into_iter().map(|call| call.arguments).collect())
            }
        }
    }

    fn give_up(&mut self, name: String) {
        self.held.clear();
        self.open.clear();
        self.broken = Some(name);
    }

    /// Takes a frame that is about a held call, or begins one.
    fn follow(&mut self, frame: &PassthroughFrame<'_>) {
        let event: ResponsesEvent<'_> = serde_json::from_str(frame.data).unwrap_or_default();
        let index = event.output_index.0.unwrap_or_default();
        match frame.kind {
            ADDED => {
                let item = field(frame.data, "item");
                if let Some((form, name)) = self.call_of(&item) {
                    let verdict = Verdict::Open;
                    self.open.push(OpenCall { index, form, name, pieces: String::new(), verdict });
                }
            }
            DONE => self.done(index, field(frame.data, "item")),
            _ => {
                let call = self.open.iter_mut().find(|call| call.index == index);
                if let (Some(call), Some(piece)) =
                    (call.filter(|call| frame.kind == call.form.delta()), event.delta.some())
                {
                    call.pieces.push_str(piece);
                }
            }
        }
    }

    fn done(&mut self, index: u64, item: Value) {
        let place = self.open.iter().position(|call| call.index == index && call.verdict == Verdict::Open);
        let Some(call) = place.and_then(|place| self.open.get(place)) else { return };
        let said = item.get(call.form.field()).and_then(Value::as_str).unwrap_or_default();
        let text = if said.is_empty() { call.pieces.as_str() } else { said };
        // What was added up must be one of the two that nobody can mistake.
        let adds_up = call.pieces.is_empty()
            || call.pieces == said
            || (call.form == CallForm::Function && is_whole_object(&call.pieces) && !said.is_empty());
        let Some(texts) = self.texts(call.form, &call.name, text) else {
            let name = call.name.clone();
            return self.give_up(name);
        };
        let is_right = adds_up && matches!(texts.as_slice(), [one] if one == said);
        let verdict = if is_right { Verdict::Right } else { Verdict::Instead(item, texts) };
        if let Some(call) = place.and_then(|place| self.open.get_mut(place)) {
            call.verdict = verdict;
        }
    }

    /// Hands on what is held: no call in it is open.
    fn flush(&mut self, sink: &mut dyn EventSink) {
        let (held, calls) = (std::mem::take(&mut self.held), std::mem::take(&mut self.open));
        for frame in held.iter() {
            let index = output_index(frame.data);
            let call = calls.iter().find(|call| Some(call.index) == index);
            match call.map(|call| (call, &call.verdict)) {
                Some((call, Verdict::Instead(item, texts))) => {
                    if frame.kind == ADDED {
                        self.write_instead(call, item, texts, frame.data, sink);
                    }
                }
                _ => self.pass(frame, sink),
            }
        }
    }

    /// Writes a call anew, in the place of the frame that begins it.
    fn write_instead(
        &mut self,
        call: &OpenCall,
        item: &Value,
        texts: &[String],
        begin: &str,
        sink: &mut dyn EventSink,
    ) {
        let index = self.index(call.index);
        self.sequence = self.sequence.or_else(|| sequence_number(begin));
        for (place, text) in (0..).zip(texts) {
            let item = several(item, call.form, text, place);
            for (kind, data) in item_events(&item, call.form, index + u64::from(place)) {
                self.emit(kind, data, sink);
            }
        }
        self.inserted.push((call.index, texts.len().saturating_sub(1) as u64));
    }

    /// An item that is done and was never announced.
    fn unannounced(&mut self, frame: &PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        let item = field(frame.data, "item");
        let Some((form, name)) = self.call_of(&item) else { return self.pass(*frame, sink) };
        let index = output_index(frame.data).unwrap_or_default();
        self.open.push(OpenCall { index, form, name, pieces: String::new(), verdict: Verdict::Open });
        self.done(index, item);
        let Some(call) = self.open.pop() else { return };
        match &call.verdict {
            Verdict::Instead(item, texts) => self.write_instead(&call, item, texts, frame.data, sink),
            Verdict::Right | Verdict::Open => self.pass(*frame, sink),
        }
    }

    /// A frame that is no part of a call, with the numbers that it has by now.
    fn pass(&mut self, frame: PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        if self.sequence.is_none() {
            return sink.event(TurnEvent::Frame(frame));
        }
        let mut value: Value = serde_json::from_str(frame.data).unwrap_or_default();
        if let (Some(index), Some(fields)) = (output_index(frame.data), value.as_object_mut()) {
            fields.insert("output_index".to_owned(), json!(self.index(index)));
        }
        self.number(&mut value);
        sink.event(TurnEvent::Frame(PassthroughFrame { data: &value.to_string(), ..frame }));
    }

    fn emit(&mut self, kind: &str, mut data: Value, sink: &mut dyn EventSink) {
        if let (Some(fields), Some(_)) = (data.as_object_mut(), self.sequence) {
            fields.insert("sequence_number".to_owned(), Value::Null);
        }
        self.number(&mut data);
        emit(kind, &data.to_string(), sink);
    }

    fn number(&mut self, data: &mut Value) {
        if let (Some(place), Some(next)) = (data.get_mut("sequence_number"), self.sequence.as_mut()) {
            *place = json!(*next);
            *next += 1;
        }
    }

    /// The place of an item among those that the client has.
    fn index(&self, upstream: u64) -> u64 {
        let before = self.inserted.iter().filter(|(index, _)| *index < upstream);
        upstream + before.map(|(_, count)| count).sum::<u64>()
    }

    /// The response whole: the same calls as before it. `None` when one of them may not be run.
    fn response<'d>(&mut self, data: &'d str, is_cut: bool) -> Option<Cow<'d, str>> {
        if memchr::memmem::find(data.as_bytes(), b"_call\"").is_none() {
            return Some(Cow::Borrowed(data));
        }
        let mut event: Value = serde_json::from_str(data).unwrap_or_default();
        let Some(Value::Array(items)) = event.pointer_mut("/response/output") else {
            return Some(Cow::Borrowed(data));
        };
        let mut differs = false;
        let mut output = Vec::with_capacity(items.len());
        for item in std::mem::take(items) {
            let Some((form, name)) = self.call_of(&item) else {
                output.push(item);
                continue;
            };
            let text = item.get(form.field()).and_then(Value::as_str).unwrap_or_default();
            match self.texts(form, &name, text) {
                Some(texts) if matches!(texts.as_slice(), [one] if one == text) => output.push(item),
                Some(texts) => {
                    differs = true;
                    output.extend((0..).zip(&texts).map(|(place, text)| several(&item, form, text, place)));
                }
                None if is_cut => differs = true,
                None => {
                    self.give_up(name);
                    return None;
                }
            }
        }
        *items = output;
        Some(if differs { Cow::Owned(event.to_string()) } else { Cow::Borrowed(data) })
    }

    /// The end of the answer: calls that no event said were done are what the response says.
    fn end(&mut self, frame: &PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        let is_cut = frame.kind != "response.completed";
        if self.broken.is_some() && !is_cut {
            return;
        }
        self.close_open(frame.data, is_cut, sink);
        let Some(data) = self.response(frame.data, is_cut) else { return };
        self.pass(PassthroughFrame { data: &data, ..*frame }, sink);
    }

    fn close_open(&mut self, data: &str, is_cut: bool, sink: &mut dyn EventSink) {
        let response = if self.open.is_empty() { Value::Null } else { field(data, "response") };
        let output = response.get("output").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for index in self.open.iter().map(|call| call.index).collect::<Vec<u64>>() {
            let said = usize::try_from(index).ok().and_then(|index| output.get(index));
            if let Some(item) = said.filter(|item| !is_cut && CallForm::of(item).is_some()) {
                self.done(index, item.clone());
            }
        }
        if self.open.iter().any(|call| call.verdict == Verdict::Open) {
            // Nobody said that they are done: they never began.
            self.drop_open();
        }
        if self.broken.is_none() {
            self.flush(sink);
        }
    }

    /// Leaves out the events of calls that are not done.
    fn drop_open(&mut self) {
        let open: Vec<u64> =
            self.open.iter().filter(|call| call.verdict == Verdict::Open).map(|call| call.index).collect();
        let held = std::mem::take(&mut self.held);
        for frame in held.iter() {
            let is_open = output_index(frame.data).is_some_and(|index| open.contains(&index));
            if is_open {
                self.sequence = self.sequence.or_else(|| sequence_number(frame.data));
            } else {
                let _ = self.held.push(&frame);
            }
        }
        self.open.retain(|call| call.verdict != Verdict::Open);
    }
}

impl FrameCalls for ResponsesCallFrames {
    fn frame(&mut self, frame: &PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        if ENDS.contains(&frame.kind) {
            return self.end(frame, sink);
        }
        if self.broken.is_some() {
            return;
        }
        let is_call = || memchr::memmem::find(frame.data.as_bytes(), b"_call\"").is_some();
        if self.open.is_empty() {
            return match frame.kind {
                ADDED if is_call() => {
                    self.follow(frame);
                    if self.open.is_empty() || !self.held.push(frame) {
                        self.pass(*frame, sink);
                    }
                }
                DONE if is_call() => self.unannounced(frame, sink),
                _ => self.pass(*frame, sink),
            };
        }
        if !self.held.push(frame) {
            let name = self.open.first().map(|call| call.name.clone()).unwrap_or_default();
            return self.give_up(name);
        }
        self.follow(frame);
        if !self.open.is_empty() && self.open.iter().all(|call| call.verdict != Verdict::Open) {
            self.flush(sink);
        }
    }

    fn finish(&mut self, reason: &FinishReason, _: &mut dyn EventSink) -> Option<String> {
        let by_itself = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        self.held.clear();
        self.broken.take().filter(|_| by_itself)
    }
}

fn field(data: &str, name: &str) -> Value {
    serde_json::from_str::<Map<String, Value>>(data)
        .ok()
        .and_then(|mut map| map.remove(name))
        .unwrap_or_default()
}

fn output_index(data: &str) -> Option<u64> {
    serde_json::from_str::<ResponsesEvent<'_>>(data).ok()?.output_index.0
}

fn sequence_number(data: &str) -> Option<u64> {
    field(data, "sequence_number").as_u64()
}

#[cfg(test)]
mod tests;
