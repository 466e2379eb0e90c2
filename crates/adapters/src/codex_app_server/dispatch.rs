//! What becomes of each line of an app-server, and what is written to it. Pure: lines and time in, lines out.
//!
//! Each turn is a slot under its thread: one turn of a thread at a time. A slot leaves in the same step that reads the end of its turn, and
//! a word that came before that step has either been seen by the server or begins another turn there: none is lost.

mod incoming;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::request;
use super::slot::{CallError, OnEnd, Phase, Push, Pushed, TurnSlot};
use crate::agents::query::Part;
use crate::agents::queue::{LineQueue, QueueEnd};
use crate::agents::settings::{AgentSettings, Approvals, Steer};

/// How long an interrupted turn may take to end.
const INTERRUPT: Duration = Duration::from_secs(10);

/// Who waits for an answer.
enum Pending {
    Call(oneshot::Sender<Result<Value, CallError>>),
    /// Of `turn/start`: the slot of this thread learns its turn's name.
    Turn {
        thread: String,
        reply: Option<oneshot::Sender<Result<Value, CallError>>>,
    },
    /// Of `turn/steer`.
    Steer {
        thread: String,
        push: u64,
    },
    /// Nobody.
    Nobody,
}

/// The state of one connection.
pub struct Dispatch {
    approvals: Approvals,
    steer: Steer,
    park: Duration,
    next_id: u64,
    next_push: u64,
    pending: HashMap<u64, Pending>,
    turns: HashMap<String, TurnSlot>,
    /// Lines to be written.
    out: VecDeque<Bytes>,
    /// Why nothing can be asked any more.
    ended: Option<Failure>,
    /// Lines that were no JSON.
    unreadable: u64,
    last_used: Instant,
}

impl Dispatch {
    /// A new connection.
    pub fn new(settings: &AgentSettings, now: Instant) -> Self {
        Self {
            approvals: settings.safety.approvals,
            steer: settings.steer,
            park: settings.limits.park,
            next_id: 1,
            next_push: 1,
            pending: HashMap::new(),
            turns: HashMap::new(),
            out: VecDeque::new(),
            ended: None,
            unreadable: 0,
            last_used: now,
        }
    }

    /// The next line to be written.
    pub fn next_out(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// Why nothing can be asked any more.
    pub fn ended(&self) -> Option<&Failure> {
        self.ended.as_ref()
    }

    /// Turns that run or wait for their client.
    pub fn running(&self) -> usize {
        self.turns.len()
    }

    /// Whether a turn of this thread runs.
    pub fn is_busy(&self, thread: &str) -> bool {
        self.turns.contains_key(thread)
    }

    /// Since when nothing was asked.
    pub fn idle_since(&self) -> Option<Instant> {
        (self.turns.is_empty() && self.pending.is_empty()).then_some(self.last_used)
    }

    /// Lines that were no JSON so far.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn write(&mut self, message: &Value) {
        let mut line = serde_json::to_vec(message).unwrap_or_default();
        line.push(b'\n');
        self.out.push_back(line.into());
    }

    fn ask(&mut self, method: &str, params: &Value, pending: Pending) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.pending.insert(id, pending);
        self.write(&json!({ "id": id, "method": method, "params": params }));
        id
    }

    /// A notification to the server.
    pub fn notify(&mut self, method: &str) {
        self.write(&json!({ "method": method }));
    }

    /// A call; its answer arrives at the receiver. An answer that comes after the receiver is gone is passed over.
    ///
    /// # Errors
    /// The process is gone.
    pub fn call(
        &mut self,
        method: &str,
        params: &Value,
        now: Instant,
    ) -> Result<oneshot::Receiver<Result<Value, CallError>>, CallError> {
        if let Some(ended) = &self.ended {
            return Err(CallError::Died(ended.clone()));
        }
        self.last_used = now;
        let (send, receive) = oneshot::channel();
        self.ask(method, params, Pending::Call(send));
        Ok(receive)
    }

    /// Begins a turn of a thread in which none runs.
    ///
    /// # Errors
    /// The process is gone, or a turn of this thread runs.
    pub fn start_turn(
        &mut self,
        thread: &str,
        params: &Value,
        queue: Arc<LineQueue>,
        tools: Vec<String>,
        on_end: OnEnd,
        now: Instant,
    ) -> Result<oneshot::Receiver<Result<Value, CallError>>, CallError> {
        if let Some(ended) = &self.ended {
            return Err(CallError::Died(ended.clone()));
        }
        if self.is_busy(thread) {
            return Err(CallError::Busy);
        }
        self.last_used = now;
        let (send, receive) = oneshot::channel();
        self.turns.insert(thread.to_owned(), TurnSlot::new(queue, tools, on_end));
        self.ask("turn/start", params, Pending::Turn { thread: thread.to_owned(), reply: Some(send) });
        Ok(receive)
    }

    /// Whether more words go into the turn that runs, and not behind it.
    pub fn steers(&self) -> bool {
        self.steer == Steer::Steer
    }

    /// More words for a turn that runs. They are taken only as long as it is not over, and then they are not lost.
    pub fn push(&mut self, thread: &str, text: &str) -> Pushed {
        let steer = self.steer;
        let Some(slot) = self.turns.get_mut(thread).filter(|slot| !slot.is_leaving()) else {
            return Pushed::Over;
        };
        let id = self.next_push;
        self.next_push += 1;
        slot.pushes.push_back(Push { id, text: text.to_owned(), is_sent: false });
        if steer == Steer::Steer {
            self.steer_waiting(thread);
        }
        Pushed::Taken
    }

    /// Sends what waits into the turn that runs, where its name is known.
    fn steer_waiting(&mut self, thread: &str) {
        let Some(slot) = self.turns.get_mut(thread) else { return };
        let Phase::Active(turn) = &slot.phase else { return };
        let turn = turn.clone();
        let waiting: Vec<(u64, String)> = slot
            .pushes
            .iter_mut()
            .filter_map(|push| {
                let was_sent = std::mem::replace(&mut push.is_sent, true);
                (!was_sent).then(|| (push.id, push.text.clone()))
            })
            .collect();
        for (push, text) in waiting {
            let params = json!({
                "threadId": thread,
                "expectedTurnId": turn,
                "clientUserMessageId": push_name(push),
                "input": request::input(&[Part::Text { text }]),
            });
            self.ask("turn/steer", &params, Pending::Steer { thread: thread.to_owned(), push });
        }
    }

    /// Nobody wants the rest of a turn, or nobody reads it for now: it is interrupted, unless it waits for the client's tools.
    pub fn leave(&mut self, thread: &str, queue: &Arc<LineQueue>, has_parked: bool, now: Instant) {
        let park = self.park;
        // The slot may be another turn's by now.
        let Some(slot) = self.turns.get_mut(thread).filter(|slot| Arc::ptr_eq(&slot.queue, queue)) else {
            return;
        };
        if has_parked && !slot.calls.is_empty() {
            slot.parked_until = Some(now + park);
        } else {
            self.interrupt(thread, now);
        }
    }

    /// Ends a turn; whether there was one.
    pub fn interrupt(&mut self, thread: &str, now: Instant) -> bool {
        let Some(slot) = self.turns.get_mut(thread) else { return false };
        slot.pushes.clear();
        slot.parked_until = None;
        let failure = Failure::new(FailureKind::Interrupted, "the turn was interrupted");
        slot.queue.close(QueueEnd::Broken(failure));
        match &slot.phase {
            Phase::Starting => slot.phase = Phase::Abandoned(now + INTERRUPT),
            Phase::Active(turn) => {
                let params = json!({ "threadId": thread, "turnId": turn });
                slot.phase = Phase::Interrupted(now + INTERRUPT);
                self.ask("turn/interrupt", &params, Pending::Nobody);
                // A command goes on after an interrupt, unless it is ended by itself.
                let params = json!({ "threadId": thread });
                self.ask("thread/backgroundTerminals/clean", &params, Pending::Nobody);
            }
            Phase::Abandoned(_) | Phase::Interrupted(_) => {}
        }
        true
    }

    /// The thread whose turn waits for one of these outputs.
    pub fn parked(&self, outputs: &[(&str, &[Part])]) -> Option<String> {
        let is_meant = |slot: &TurnSlot| {
            slot.parked_until.is_some()
                && slot.calls.iter().any(|call| outputs.iter().any(|(id, _)| *id == call.call))
        };
        self.turns.iter().find(|(_, slot)| is_meant(slot)).map(|(thread, _)| thread.clone())
    }

    /// Goes on with a turn that waits for these calls: their outputs are given, and its lines go to another queue.
    pub fn unpark(
        &mut self,
        outputs: &[(&str, &[Part])],
        queue: &Arc<LineQueue>,
        on_end: OnEnd,
        now: Instant,
    ) -> Option<String> {
        let thread = self.parked(outputs)?;
        let slot = self.turns.get_mut(&thread)?;
        slot.parked_until = None;
        slot.queue = Arc::clone(queue);
        slot.answer.clear();
        slot.on_end = Some(on_end);
        queue.note(|signs| signs.last = now);
        let calls = std::mem::take(&mut slot.calls);
        for call in calls {
            let said = outputs.iter().find(|(id, _)| *id == call.call);
            let result = said.map_or_else(
                || json!({ "success": false, "contentItems": [] }),
                |(_, parts)| request::tool_answer(parts),
            );
            self.write(&json!({ "id": call.request, "result": result }));
        }
        self.last_used = now;
        Some(thread)
    }

    /// Time has passed. An interrupt that was not heard means that the process is as good as dead.
    ///
    /// # Errors
    /// The process is to be ended, for this reason.
    pub fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let late: Vec<String> = self
            .turns
            .iter()
            .filter(|(_, slot)| slot.parked_until.is_some_and(|until| until <= now))
            .map(|(thread, _)| thread.clone())
            .collect();
        for thread in late {
            self.interrupt(&thread, now);
        }
        let is_deaf = |slot: &TurnSlot| matches!(slot.phase, Phase::Interrupted(until) | Phase::Abandoned(until) if until <= now);
        if self.turns.values().any(is_deaf) {
            return Err(Failure::new(
                FailureKind::Interrupted,
                "the agent did not heed an interrupt and was ended",
            ));
        }
        Ok(())
    }

    /// The process is gone, or is to be: every call and every turn fails at once. The first reason counts.
    pub fn end(&mut self, failure: &Failure) {
        self.ended.get_or_insert_with(|| failure.clone());
        for (_, pending) in self.pending.drain() {
            if let Pending::Call(reply) | Pending::Turn { reply: Some(reply), .. } = pending {
                let _ = reply.send(Err(CallError::Died(failure.clone())));
            }
        }
        for (_, slot) in self.turns.drain() {
            slot.queue.close(QueueEnd::Broken(failure.clone()));
        }
        self.out.clear();
    }
}

/// The name that we give to what is said in the middle of a turn.
pub(super) fn push_name(push: u64) -> String {
    format!("latimer-{push}")
}

#[cfg(test)]
mod tests;
