//! Makes a summary of a history with the model the client asked for: in one question where the history fits, in several where
//! it does not. There is a whole summary in the end, or a failure; never half of one.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, Item, Note, TurnEvent, TurnRequest, Usage};

use crate::inbound::responses::compact::{question, transcript};
use crate::route::attempt::{AttemptRequest, Attempts, Progress};
use crate::route::endpoint_set::RouteTarget;
use crate::running::RunningTurn;
use latimer_adapters::prepared_request::Headers;
use latimer_adapters::repair::RepairLevel;

/// Tokens of a model whose window is not known.
const WINDOW: u64 = 128_000;
/// Characters of a transcript for each token of the window: half of it is left for the notes and the question.
const CHARACTERS_PER_TOKEN: u64 = 2;
/// How often a piece is halved when it is still too long.
const MAX_HALVINGS: u32 = 4;
/// The most questions for one summary.
const MAX_PIECES: usize = 64;
/// The longest wait for an endpoint that names a time.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A summary under way.
pub struct Compactor {
    targets: Vec<RouteTarget>,
    base: TurnRequest,
    items: Vec<Item>,
    /// Characters of a piece.
    size: usize,
    halvings: u32,
    pieces: Vec<String>,
    /// The piece that is asked about.
    at: usize,
    notes: Option<String>,
    answer: Answer,
    attempts: Attempts,
    /// Where the turn tells how it is doing.
    /// What every upstream is sent beside a question.
    headers: Headers,
    running: Arc<RunningTurn>,
    spent: Usage,
}

/// What the model said about one piece.
#[derive(Default)]
struct Answer {
    text: String,
    usage: Option<Usage>,
    end: Option<FinishReason>,
    log: Vec<Note>,
}

impl EventSink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(text) => self.text.push_str(text),
            TurnEvent::Usage(usage) => self.usage = Some(usage),
            TurnEvent::Finished(reason) => self.end = Some(reason),
            TurnEvent::Note(note) => self.log.push(note),
            _ => {}
        }
    }
}

impl Compactor {
    /// Makes the first question ready. `None` without any target.
    pub fn new(
        targets: Vec<RouteTarget>,
        mut turn: TurnRequest,
        headers: Headers,
        running: Arc<RunningTurn>,
    ) -> Option<Self> {
        let items = std::mem::take(&mut turn.items);
        let target = targets.first()?;
        let known = target.runtime.endpoint.known_model(&target.model);
        let window = known.and_then(|model| model.context_window).unwrap_or(WINDOW);
        let size =
            usize::try_from(window.saturating_mul(CHARACTERS_PER_TOKEN)).unwrap_or(usize::MAX).max(2000);
        let pieces = transcript(&items, size);
        let attempts = ask(&targets, &turn, &pieces, 0, None, (&headers, &running))?;
        Some(Self {
            targets,
            base: turn,
            items,
            size,
            halvings: 0,
            pieces,
            at: 0,
            notes: None,
            answer: Answer::default(),
            attempts,
            headers,
            running,
            spent: Usage::default(),
        })
    }

    /// The question under way.
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Hands out the summary as one answer, when it is whole.
    pub fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<Progress> {
        loop {
            let progress = ready!(self.attempts.poll(cx, &mut self.answer));
            for note in self.answer.log.drain(..) {
                sink.event(TurnEvent::Note(note));
            }
            match progress {
                Progress::More => {}
                Progress::Failed(failure) => {
                    if let Some(failure) = self.halve(failure) {
                        return Poll::Ready(Progress::Failed(failure));
                    }
                }
                Progress::Ended => match self.piece_done(sink) {
                    Ok(false) => {}
                    Ok(true) => return Poll::Ready(Progress::Ended),
                    Err(failure) => return Poll::Ready(Progress::Failed(failure)),
                },
            }
        }
    }

    /// Takes the notes on one piece. True when they were the last ones.
    fn piece_done(&mut self, sink: &mut dyn EventSink) -> Result<bool, Failure> {
        let answer = std::mem::take(&mut self.answer);
        self.spent = self.spent.plus(answer.usage.unwrap_or_default());
        match answer.end {
            Some(FinishReason::Failed(failure)) => return Err(failure),
            Some(FinishReason::Length | FinishReason::ContentFilter) => {
                let message = "the model did not finish the summary of this conversation, and half a summary is none; try again, or another model";
                return Err(Failure::new(FailureKind::UpstreamError, message));
            }
            _ if answer.text.trim().is_empty() => {
                let message =
                    "the model answered with nothing instead of a summary; try again, or another model";
                return Err(Failure::new(FailureKind::UpstreamError, message));
            }
            _ => {}
        }
        self.at += 1;
        if self.at < self.pieces.len() {
            self.notes = Some(answer.text);
            self.ask()?;
            return Ok(false);
        }
        let parts = self.pieces.len();
        sink.event(TurnEvent::Note(Note::turn(format!("the history was summarised in {parts} part(s)"))));
        sink.event(TurnEvent::Started);
        sink.event(TurnEvent::Text(answer.text.trim()));
        sink.event(TurnEvent::Usage(self.spent));
        sink.event(TurnEvent::Finished(FinishReason::Stop));
        Ok(true)
    }

    /// A history that is too long is asked about in smaller pieces, from the beginning.
    fn halve(&mut self, failure: Failure) -> Option<Failure> {
        if failure.kind != FailureKind::ContextLength || self.halvings >= MAX_HALVINGS {
            return Some(failure);
        }
        self.halvings += 1;
        self.size = (self.size.min(self.pieces.iter().map(String::len).max().unwrap_or(0)) / 2).max(1000);
        self.pieces = transcript(&self.items, self.size);
        if self.pieces.len() > MAX_PIECES {
            return Some(failure);
        }
        self.at = 0;
        self.notes = None;
        self.ask().err()
    }

    fn ask(&mut self) -> Result<(), Failure> {
        self.answer = Answer::default();
        let notes = self.notes.as_deref();
        let next =
            ask(&self.targets, &self.base, &self.pieces, self.at, notes, (&self.headers, &self.running));
        self.attempts =
            next.ok_or_else(|| Failure::new(FailureKind::Internal, "no endpoint is left to ask"))?;
        Ok(())
    }
}

fn ask(
    targets: &[RouteTarget],
    base: &TurnRequest,
    pieces: &[String],
    at: usize,
    notes: Option<&str>,
    (headers, running): (&Headers, &Arc<RunningTurn>),
) -> Option<Attempts> {
    let turn = question(base, pieces.get(at)?, notes, at + 1 == pieces.len());
    // Notes are words: calls in them are quotations.
    let (level, headers, running) = (Some(RepairLevel::Off), headers.clone(), Arc::clone(running));
    let request =
        AttemptRequest { turn, raw: None, headers, level, max_wait: MAX_WAIT, affinity_key: None, running };
    Attempts::new(targets.to_vec(), request)
}

#[cfg(test)]
mod tests;
