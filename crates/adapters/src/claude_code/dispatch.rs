//! What becomes of each line of a Claude Code process, and what is written to it. Pure. One turn at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::line::ClaudeLine;
use crate::agents::line_process::LineProtocol;
use crate::agents::queue::{LineQueue, QueueEnd};
use crate::agents::settings::Approvals;

/// How long an interrupted turn may take to end.
const INTERRUPT: Duration = Duration::from_secs(10);

/// What is done when a turn came to its end, with what was said in it.
pub type OnAnswer = Box<dyn FnOnce(String) + Send>;

/// The state of one process.
pub struct ClaudeDispatch {
    approvals: Approvals,
    turn: Option<Turn>,
    out: VecDeque<Bytes>,
    ended: Option<Failure>,
    last_used: Instant,
}

struct Turn {
    queue: Arc<LineQueue>,
    on_end: OnAnswer,
    /// It was interrupted, and should be over by then.
    interrupted: Option<Instant>,
}

impl ClaudeDispatch {
    /// A new process, whose requests are answered so.
    pub fn new(approvals: Approvals, now: Instant) -> Self {
        Self { approvals, turn: None, out: VecDeque::new(), ended: None, last_used: now }
    }

    fn write(&mut self, message: &Value) {
        self.out.push_back(format!("{message}\n").into());
    }

    /// Begins a turn, if none runs.
    ///
    /// # Errors
    /// The process is gone, or a turn runs.
    pub fn start_turn(
        &mut self,
        line: &Value,
        queue: Arc<LineQueue>,
        on_end: OnAnswer,
        now: Instant,
    ) -> Result<(), Failure> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        if self.turn.is_some() {
            return Err(Failure::new(FailureKind::ConcurrencyLimited, "a turn of this conversation runs"));
        }
        self.last_used = now;
        self.turn = Some(Turn { queue, on_end, interrupted: None });
        self.write(line);
        Ok(())
    }

    /// Nobody wants the rest of the turn.
    pub fn leave(&mut self, queue: &Arc<LineQueue>, now: Instant) {
        let Some(turn) = self.turn.as_mut().filter(|turn| Arc::ptr_eq(&turn.queue, queue)) else { return };
        if turn.interrupted.is_none() {
            turn.interrupted = Some(now + INTERRUPT);
            let failure = Failure::new(FailureKind::Interrupted, "the turn was interrupted");
            turn.queue.close(QueueEnd::Broken(failure));
            self.write(&json!({
                "type": "control_request",
                "request_id": "latimer-interrupt",
                "request": { "subtype": "interrupt" },
            }));
        }
    }

    /// The agent asks whether it may do something; without an answer it would wait for ever.
    fn answer(&mut self, line: &ClaudeLine<'_>) {
        let request: Value =
            line.request.and_then(|request| serde_json::from_str(request.get()).ok()).unwrap_or_default();
        let id = line.request_id.some().unwrap_or_default();
        let response = match (request["subtype"].as_str(), self.approvals) {
            (Some("can_use_tool"), Approvals::Accept) => {
                let response = json!({ "behavior": "allow", "updatedInput": request["input"] });
                json!({ "subtype": "success", "request_id": id, "response": response })
            }
            (Some("can_use_tool"), Approvals::Decline) => {
                let response = json!({ "behavior": "deny", "message": "not allowed here" });
                json!({ "subtype": "success", "request_id": id, "response": response })
            }
            _ => json!({ "subtype": "error", "request_id": id, "error": "latimer does not answer this" }),
        };
        self.write(&json!({ "type": "control_response", "response": response }));
    }

    fn over(&mut self, line: Bytes, head: &ClaudeLine<'_>, now: Instant) {
        self.last_used = now;
        let Some(turn) = self.turn.take() else { return };
        if turn.interrupted.is_some() {
            // Its history holds half an answer that no client knows of.
            let failure = Failure::new(FailureKind::Interrupted, "the conversation was interrupted");
            self.ended.get_or_insert(failure);
            return;
        }
        if !head.is_error {
            let said = head.result.some().or(head.structured_output.map(serde_json::value::RawValue::get));
            (turn.on_end)(said.unwrap_or_default().to_owned());
        }
        turn.queue.push(line, Some(now));
        turn.queue.close(QueueEnd::Clean);
    }
}

impl LineProtocol for ClaudeDispatch {
    fn line(&mut self, line: Bytes, now: Instant) {
        let Ok(head) = serde_json::from_slice::<ClaudeLine<'_>>(&line) else { return };
        let mut is_alive = true;
        match head.kind.some() {
            Some("result") => return self.over(line.clone(), &head, now),
            Some("control_request") => self.answer(&head),
            // A new try of the model's request may go on for long.
            Some("system") => is_alive = head.subtype.some() != Some("api_retry"),
            Some(kind @ ("assistant" | "user")) => {
                if let (Some(turn), Some(message)) = (&self.turn, &head.message.0) {
                    let has = |block: &str| message.content.iter().any(|one| one.kind.some() == Some(block));
                    let works = kind == "assistant" && has("tool_use");
                    if works || kind == "user" && has("tool_result") {
                        turn.queue.note(|signs| signs.open_tools = u32::from(works));
                    }
                }
            }
            _ => {}
        }
        if let Some(turn) = &self.turn {
            turn.queue.push(line.clone(), is_alive.then_some(now));
        }
    }

    fn next_out(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        match &self.turn {
            Some(Turn { interrupted: Some(until), .. }) if *until <= now => Err(Failure::new(
                FailureKind::Interrupted,
                "the agent did not heed an interrupt and was ended",
            )),
            // An interrupted conversation is of no use.
            None => self.ended.clone().map_or(Ok(()), Err),
            Some(_) => Ok(()),
        }
    }

    fn end(&mut self, failure: &Failure) {
        self.ended.get_or_insert_with(|| failure.clone());
        if let Some(turn) = self.turn.take() {
            turn.queue.close(QueueEnd::Broken(failure.clone()));
        }
        self.out.clear();
    }

    fn ended(&self) -> Option<&Failure> {
        self.ended.as_ref()
    }

    fn idle_since(&self) -> Option<Instant> {
        self.turn.is_none().then_some(self.last_used)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock;

    fn said(dispatch: &mut ClaudeDispatch, line: &Value) {
        dispatch.line(format!("{line}\n").into(), clock::now());
    }

    fn written(dispatch: &mut ClaudeDispatch) -> Vec<Value> {
        std::iter::from_fn(|| dispatch.next_out())
            .map(|line| serde_json::from_slice(&line).expect("JSON"))
            .collect()
    }

    fn begun(approvals: Approvals) -> (ClaudeDispatch, Arc<LineQueue>) {
        let mut dispatch = ClaudeDispatch::new(approvals, clock::now());
        let queue = Arc::new(LineQueue::default());
        let line = json!({ "type": "user" });
        dispatch.start_turn(&line, Arc::clone(&queue), Box::new(|_| {}), clock::now()).expect("begun");
        assert_eq!(written(&mut dispatch).len(), 1);
        (dispatch, queue)
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_asks_is_answered_as_the_endpoint_says() {
        for (approvals, behavior) in [(Approvals::Decline, "deny"), (Approvals::Accept, "allow")] {
            let (mut dispatch, _queue) = begun(approvals);
            let request = json!({ "subtype": "can_use_tool", "input": { "a": 1 } });
            said(&mut dispatch, &json!({ "type": "control_request", "request_id": "r", "request": request }));
            let answer = written(&mut dispatch).remove(0);
            assert_eq!(answer["response"]["response"]["behavior"], behavior);
            assert_eq!(answer["response"]["request_id"], "r");
            said(
                &mut dispatch,
                &json!({ "type": "control_request", "request_id": "r2", "request": { "subtype": "new" } }),
            );
            assert_eq!(written(&mut dispatch)[0]["response"]["subtype"], "error");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_turns_never_run_at_once_and_the_end_tells_what_was_said() {
        let (mut dispatch, queue) = begun(Approvals::Decline);
        let second = Arc::new(LineQueue::default());
        let line = json!({ "type": "user" });
        assert!(dispatch.start_turn(&line, second, Box::new(|_| {}), clock::now()).is_err());
        said(&mut dispatch, &json!({ "type": "result", "subtype": "success", "result": "x" }));
        assert!(queue.is_closed() && dispatch.idle_since().is_some());
        let (send, told) = std::sync::mpsc::channel();
        let on_end: OnAnswer = Box::new(move |said| send.send(said).expect("told"));
        dispatch.start_turn(&line, Arc::new(LineQueue::default()), on_end, clock::now()).expect("free");
        said(&mut dispatch, &json!({ "type": "result", "subtype": "success", "result": "answer" }));
        assert_eq!(told.try_recv().as_deref(), Ok("answer"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_interrupts_and_the_conversation_is_of_no_use_then() {
        let (mut dispatch, queue) = begun(Approvals::Decline);
        dispatch.leave(&queue, clock::now());
        assert_eq!(written(&mut dispatch)[0]["request"]["subtype"], "interrupt");
        let end = queue.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(end, Poll::Ready(Err(QueueEnd::Broken(_)))));
        assert!(dispatch.tick(clock::now()).is_ok());
        assert!(dispatch.tick(clock::now() + INTERRUPT).is_err());
        said(
            &mut dispatch,
            &json!({ "type": "result", "subtype": "error_during_execution", "is_error": true }),
        );
        assert!(dispatch.ended().is_some() && dispatch.tick(clock::now()).is_err());
    }
}
