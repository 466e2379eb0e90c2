//! One app-server process, as those see it who ask it.

use std::sync::Arc;

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::dispatch::Dispatch;
use super::request;
use super::slot::{CallError, OnEnd, Pushed};
use crate::agents::child::Program;
use crate::agents::line_process::{LineProcess, LineProtocol};
use crate::agents::query::Part;
use crate::agents::queue::LineQueue;
use crate::agents::settings::AgentSettings;
use crate::clock;

/// Calls under way at once: a server that is asked more than it takes forgets some.
const MAX_CALLS: usize = 32;

/// A process that is asked. Dropping the last handle closes its input, which ends it and its commands.
pub struct Connection {
    process: LineProcess<Dispatch>,
    calls: Semaphore,
    settings: Arc<AgentSettings>,
}

impl LineProtocol for Dispatch {
    fn line(&mut self, line: Bytes, now: Instant) {
        Self::line(self, &line, now);
    }

    fn next_out(&mut self) -> Option<Bytes> {
        Self::next_out(self)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        Self::tick(self, now)
    }

    fn end(&mut self, failure: &Failure) {
        Self::end(self, failure);
    }

    fn ended(&self) -> Option<&Failure> {
        Self::ended(self)
    }

    fn idle_since(&self) -> Option<Instant> {
        Self::idle_since(self)
    }
}

impl Connection {
    /// Starts a process and makes its acquaintance.
    ///
    /// # Errors
    /// It cannot be started, or does not answer within `limits.start`.
    pub async fn start(
        program: Program<'_>,
        settings: &Arc<AgentSettings>,
        endpoint: &str,
        closes_when_idle: bool,
    ) -> Result<Arc<Self>, Failure> {
        let dispatch = Dispatch::new(settings, clock::now());
        let idle_close = closes_when_idle.then_some(settings.idle_close);
        let process = LineProcess::start(program, dispatch, endpoint, idle_close)?;
        let settings = Arc::clone(settings);
        let connection = Arc::new(Self { process, calls: Semaphore::new(MAX_CALLS), settings });
        let hello = connection.call("initialize", request::initialize(env!("CARGO_PKG_VERSION")));
        let limit = connection.settings.limits.start;
        match tokio::time::timeout(limit, hello).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(connection.process.named(error.failure("initialize"))),
            Err(_) => {
                let message = format!(
                    "{endpoint}: the agent did not start within {limit:?} (setting `agent.limits.start`)"
                );
                return Err(Failure::new(FailureKind::Timeout, message));
            }
        }
        connection.process.with(|dispatch| dispatch.notify("initialized"));
        Ok(connection)
    }

    /// Which process it is, for people.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Which process it is, and never a later one.
    pub fn serial(&self) -> u64 {
        self.process.serial
    }

    /// Whether it can be asked.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// Turns that run or wait for their client.
    pub fn running(&self) -> usize {
        self.process.look(Dispatch::running)
    }

    /// Whether a turn of this thread runs.
    pub fn is_busy(&self, thread: &str) -> bool {
        self.process.look(|dispatch| dispatch.is_busy(thread))
    }

    /// Asks something. A process that does not answer is ended.
    ///
    /// # Errors
    /// It refuses, is gone, or does not answer within `limits.call`.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let _permit = self.calls.acquire().await.map_err(|_| CallError::NoAnswer)?;
        let reply = self.process.with(|dispatch| dispatch.call(method, &params, clock::now()))?;
        self.reply(method, reply).await
    }

    /// Begins a turn, whose lines go into the queue from its first one on.
    ///
    /// # Errors
    /// As [`Connection::call`], or a turn of the thread runs.
    pub async fn start_turn(
        &self,
        thread: &str,
        params: Value,
        queue: &Arc<LineQueue>,
        tools: Vec<String>,
        on_end: OnEnd,
    ) -> Result<Value, CallError> {
        let _permit = self.calls.acquire().await.map_err(|_| CallError::NoAnswer)?;
        let (queue, now) = (Arc::clone(queue), clock::now());
        let begin = |dispatch: &mut Dispatch| dispatch.start_turn(thread, &params, queue, tools, on_end, now);
        let reply = self.process.with(begin)?;
        self.reply("turn/start", reply).await
    }

    async fn reply(
        &self,
        method: &str,
        reply: oneshot::Receiver<Result<Value, CallError>>,
    ) -> Result<Value, CallError> {
        match tokio::time::timeout(self.settings.limits.call, reply).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::NoAnswer),
            Err(_) => {
                tracing::warn!(event = "agent.no_answer", pid = self.process.pid, method);
                self.process.give_up(&self.process.named(CallError::NoAnswer.failure(method)));
                Err(CallError::NoAnswer)
            }
        }
    }

    /// Whether more words go into the turn that runs, and not behind it.
    pub fn steers(&self) -> bool {
        self.process.with(|dispatch| dispatch.steers())
    }

    /// More words for a turn that runs.
    pub fn push(&self, thread: &str, text: &str) -> Pushed {
        self.process.with(|dispatch| dispatch.push(thread, text))
    }

    /// Nobody reads a turn any more, or not for now.
    pub fn leave(&self, thread: &str, queue: &Arc<LineQueue>, has_parked: bool) {
        self.process.with(|dispatch| dispatch.leave(thread, queue, has_parked, clock::now()));
    }

    /// Ends a turn; whether there was one.
    pub fn interrupt(&self, thread: &str) -> bool {
        self.process.with(|dispatch| dispatch.interrupt(thread, clock::now()))
    }

    /// The thread whose turn waits for one of these outputs.
    pub fn parked(&self, outputs: &[(&str, &[Part])]) -> Option<String> {
        self.process.look(|dispatch| dispatch.parked(outputs))
    }

    /// Goes on with the turn that waits for these outputs; its thread.
    pub fn unpark(
        &self,
        outputs: &[(&str, &[Part])],
        queue: &Arc<LineQueue>,
        on_end: OnEnd,
    ) -> Option<String> {
        self.process.with(|dispatch| dispatch.unpark(outputs, queue, on_end, clock::now()))
    }

    /// Ends the process and waits until it is gone.
    pub async fn close(&self) {
        self.process.close().await;
    }
}
