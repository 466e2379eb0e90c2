//! What becomes of each line of the server: an answer, a notification of a turn, a question of its own.

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Dispatch, Pending, push_name};
use crate::agents::query::Part;
use crate::agents::queue::QueueEnd;
use crate::agents::settings::Steer;
use crate::codex_app_server::approvals::{self, Answer};
use crate::codex_app_server::line::{HeadParams, LineHead, is_tool};
use crate::codex_app_server::request;
use crate::codex_app_server::slot::{CallError, OpenCall, Phase, TurnEnd, TurnSlot};

/// Lines that are kept until the name of their turn is known.
const MAX_HELD: usize = 1000;

impl Dispatch {
    /// Takes a line of the server.
    pub fn line(&mut self, line: &Bytes, now: Instant) {
        let Ok(head) = serde_json::from_slice::<LineHead<'_>>(line) else {
            self.unreadable += 1;
            return;
        };
        match (head.method.some(), head.id) {
            (Some(method), None) => {
                if let Some(params) = &head.params.0 {
                    self.notification(method, params, line.clone(), now);
                }
            }
            (Some(method), Some(id)) => self.request(method, id, &head, line.clone(), now),
            (None, Some(id)) => self.answer(id, &head, now),
            (None, None) => {}
        }
    }

    fn answer(&mut self, id: &RawValue, head: &LineHead<'_>, now: Instant) {
        let Some(pending) = id.get().parse().ok().and_then(|id: u64| self.pending.remove(&id)) else {
            return;
        };
        let answer = match head.error {
            Some(error) => Err(CallError::refused(error.get())),
            None => {
                Ok(head.result.and_then(|result| serde_json::from_str(result.get()).ok()).unwrap_or_default())
            }
        };
        match pending {
            Pending::Call(reply) => drop(reply.send(answer)),
            Pending::Turn { thread, reply } => self.turn_started(&thread, answer, reply, now),
            Pending::Steer { thread, push } => {
                // Refused: the turn was over, or cannot be steered. The next one takes it.
                if let (Err(_), Some(slot)) = (answer, self.turns.get_mut(&thread))
                    && let Some(push) = slot.pushes.iter_mut().find(|waiting| waiting.id == push)
                {
                    push.is_sent = false;
                }
            }
            Pending::Nobody => {}
        }
    }

    fn turn_started(
        &mut self,
        thread: &str,
        answer: Result<Value, CallError>,
        reply: Option<oneshot::Sender<Result<Value, CallError>>>,
        now: Instant,
    ) {
        let name = answer.as_ref().ok().and_then(|result| result["turn"]["id"].as_str()).map(str::to_owned);
        let Some(name) = name else {
            // It never began.
            if let Some(slot) = self.turns.remove(thread) {
                let failure = answer.as_ref().err().map_or_else(
                    || Failure::new(FailureKind::UpstreamError, "the agent began no turn"),
                    |error| error.failure("turn/start"),
                );
                slot.queue.close(QueueEnd::Broken(failure));
            }
            if let Some(reply) = reply {
                let _ = reply.send(answer);
            }
            return;
        };
        if let Some(slot) = self.turns.get_mut(thread) {
            let is_abandoned = matches!(slot.phase, Phase::Abandoned(_));
            slot.phase = Phase::Active(name);
            let held = std::mem::take(&mut slot.held);
            if is_abandoned {
                self.interrupt(thread, now);
            } else {
                for line in held {
                    self.line(&line, now);
                }
                if self.steer == Steer::Steer {
                    self.steer_waiting(thread);
                }
            }
        }
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
    }

    fn notification(&mut self, method: &str, params: &HeadParams<'_>, line: Bytes, now: Instant) {
        let Some(thread) = params.thread_id.some() else { return };
        let Some(slot) = self.turns.get_mut(thread) else { return };
        match &slot.phase {
            Phase::Starting | Phase::Abandoned(_) => {
                if slot.held.len() < MAX_HELD {
                    slot.held.push(line);
                }
                return;
            }
            Phase::Active(turn) => {
                if params.turn().is_some_and(|named| named != turn) {
                    return;
                }
            }
            Phase::Interrupted(_) => {}
        }
        match method {
            "turn/completed" => return self.turn_over(thread, params, line, now),
            "item/started" | "item/completed" => slot.item(method == "item/completed", params),
            _ => {}
        }
        // A new try of the model's request is no sign of life: it may go on for ever.
        let is_alive = !(method == "error" && params.will_retry);
        slot.queue.push(line, is_alive.then_some(now));
    }

    fn turn_over(&mut self, thread: &str, params: &HeadParams<'_>, line: Bytes, now: Instant) {
        self.last_used = now;
        let Some(mut slot) = self.turns.remove(thread) else { return };
        let turn = params.turn().unwrap_or_default().to_owned();
        let is_completed = params.turn.0.as_ref().and_then(|turn| turn.status.some()) == Some("completed");
        if is_completed && !slot.pushes.is_empty() && !slot.is_leaving() {
            // What was said in the meantime begins the next turn, whose words follow in the same answer.
            let parts: Vec<Part> = slot.pushes.drain(..).map(|push| Part::Text { text: push.text }).collect();
            slot.phase = Phase::Starting;
            self.turns.insert(thread.to_owned(), slot);
            let params = json!({ "threadId": thread, "input": request::input(&parts) });
            self.ask("turn/start", &params, Pending::Turn { thread: thread.to_owned(), reply: None });
            return;
        }
        if let Some(on_end) = slot.on_end.take() {
            let answer = std::mem::take(&mut slot.answer);
            for line in on_end(TurnEnd { thread: thread.to_owned(), turn, is_completed, answer }) {
                slot.queue.push(line, None);
            }
        }
        slot.queue.push(line, Some(now));
        slot.queue.close(QueueEnd::Clean);
    }

    /// The server asks something.
    fn request(&mut self, method: &str, id: &RawValue, head: &LineHead<'_>, line: Bytes, now: Instant) {
        let whole = serde_json::from_slice::<Value>(&line).unwrap_or_default();
        let params = whole.get("params").unwrap_or(&Value::Null);
        let thread = head.params.0.as_ref().and_then(|params| params.thread_id.some()).unwrap_or_default();
        let slot = self.turns.get_mut(thread);
        let has_tool =
            |name: &str| slot.as_ref().is_some_and(|slot| slot.tools.iter().any(|tool| tool == name));
        let answer = approvals::answer(method, params, self.approvals, has_tool);
        let message = match (answer, slot) {
            (Answer::Client, Some(slot)) => {
                let call = params.get("callId").and_then(Value::as_str).unwrap_or_default();
                let request = whole.get("id").cloned().unwrap_or_default();
                slot.calls.push(OpenCall { request, call: call.to_owned() });
                slot.queue.push(line, Some(now));
                return slot.queue.note(|signs| signs.open_calls = Some(now));
            }
            (Answer::Result(result), _) => json!({ "id": id, "result": result }),
            (Answer::Error(words), _) => json!({ "id": id, "error": { "code": -32000, "message": words } }),
            (Answer::Client, None) => json!({ "id": id, "result": { "success": false, "contentItems": [] } }),
        };
        self.write(&message);
    }
}

impl TurnSlot {
    /// An item begins or ends.
    fn item(&mut self, is_completed: bool, params: &HeadParams<'_>) {
        let Some(item) = &params.item.0 else { return };
        match item.kind.some() {
            Some("agentMessage") if is_completed => {
                self.answer.push_str(item.text.some().unwrap_or_default());
                self.answer.push('\n');
            }
            Some("userMessage") => {
                if let Some(name) = item.client_id.some() {
                    self.pushes.retain(|push| push_name(push.id) != name);
                }
            }
            Some(kind) if is_tool(kind) => self.queue.note(|signs| {
                signs.open_tools =
                    if is_completed { signs.open_tools.saturating_sub(1) } else { signs.open_tools + 1 };
            }),
            _ => {}
        }
    }
}
