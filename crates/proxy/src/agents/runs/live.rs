//! A run that this process works on, or is about to: what happened in it, who ends it, and that it is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use latimer_adapters::drive::SteerTurn;
use tokio::sync::watch;

use super::event::RunEvent;
use crate::running::RunningTurn;
use crate::sync::lock;

/// The most bytes of events that are kept of one run. What may be left out is left out from here on.
const MAX_BYTES: usize = 1 << 20;
/// The most bytes of what may not be left out.
const MAX_WHOLE_BYTES: usize = 4 << 20;

/// What is no longer than this, and no piece, is always kept: without it nobody could tell how the run ended.
const SMALL: usize = 4096;

/// What this process knows of a run that the table cannot say.
#[derive(Debug)]
pub struct LiveRun {
    log: Mutex<Log>,
    /// How many events there are; more are told.
    grown: watch::Sender<usize>,
    wanted: watch::Sender<Wanted>,
    /// Whether it is over, in the table too.
    over: watch::Sender<bool>,
    /// The turn that runs.
    turn: Mutex<Option<Arc<RunningTurn>>>,
    /// Whether somebody tells of its end, or has.
    end_is_told: AtomicBool,
}

#[derive(Debug, Default)]
struct Log {
    frames: Vec<Bytes>,
    bytes: usize,
    is_truncated: bool,
}

/// What somebody wants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Work,
    End,
}

impl Default for LiveRun {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            grown: watch::Sender::new(0),
            wanted: watch::Sender::new(Wanted::Work),
            over: watch::Sender::new(false),
            turn: Mutex::default(),
            end_is_told: AtomicBool::new(false),
        }
    }
}

impl LiveRun {
    /// Something happened.
    pub(super) fn tell(&self, event: &RunEvent<'_>) {
        let frame = event.frame();
        let mut log = lock(&self.log);
        let max = match (event.is_piece(), frame.len() <= SMALL) {
            (true, _) => MAX_BYTES,
            (false, false) => MAX_WHOLE_BYTES,
            (false, true) => usize::MAX,
        };
        if log.bytes.saturating_add(frame.len()) <= max {
            log.push(frame);
        } else if !log.is_truncated {
            log.is_truncated = true;
            log.push(RunEvent::Truncated {}.frame());
        }
        let count = log.frames.len();
        drop(log);
        self.grown.send_replace(count);
    }

    /// What happened from this number on.
    pub fn from(&self, number: usize) -> Vec<Bytes> {
        lock(&self.log).frames.get(number..).map(<[Bytes]>::to_vec).unwrap_or_default()
    }

    /// All that happened, as it is kept.
    pub(super) fn whole(&self) -> Vec<u8> {
        lock(&self.log).frames.concat()
    }

    /// Tells of every event that is new.
    pub fn growth(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    /// A turn begins; `None` when it is over.
    pub(super) fn enter(&self, turn: Option<Arc<RunningTurn>>) {
        *lock(&self.turn) = turn;
    }

    /// How more words reach the turn that runs; `None` where they wait for its end.
    pub(super) fn steer(&self) -> Option<Arc<dyn SteerTurn>> {
        lock(&self.turn).as_ref().and_then(|turn| turn.steer())
    }

    /// Somebody wants it to end.
    pub(super) fn end(&self) {
        self.wanted.send_replace(Wanted::End);
    }

    /// Done once somebody wants it to end.
    pub(super) async fn is_to_end(&self) {
        let mut wanted = self.wanted.subscribe();
        // The sender lives as long as this.
        let _ = wanted.wait_for(|wanted| *wanted == Wanted::End).await;
    }

    /// True for the first who asks: its end is told once.
    pub(super) fn tells_end(&self) -> bool {
        !self.end_is_told.swap(true, Ordering::Relaxed)
    }

    /// It is over: the table says so.
    pub(super) fn is_over_now(&self) {
        self.over.send_replace(true);
        self.grown.send_modify(|_| {});
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Done once it is over.
    pub(super) async fn over(&self) {
        let mut over = self.over.subscribe();
        let _ = over.wait_for(|over| *over).await;
    }
}

impl Log {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_left_out_where_there_is_too_much_and_whole_messages_are_not() {
        let live = LiveRun::default();
        let piece = "x".repeat(300_000);
        for _ in 0..5 {
            live.tell(&RunEvent::TextDelta { item: "a", text: &piece });
        }
        live.tell(&RunEvent::TextDone { item: "a", text: "whole" });
        let frames = live.from(0);
        assert_eq!(frames.len(), 5, "three pieces, the mark and the whole message");
        let text = String::from_utf8(live.whole()).expect("text");
        assert_eq!(text.matches("event: truncated").count(), 1);
        assert!(text.ends_with(
            "event: text_done\ndata: {\"type\":\"text_done\",\"item\":\"a\",\"text\":\"whole\"}\n\n"
        ));
        assert_eq!((live.from(4).len(), live.from(9).len()), (1, 0));
        let long = "y".repeat(MAX_WHOLE_BYTES);
        live.tell(&RunEvent::Result { text: &long });
        live.tell(&RunEvent::Result { text: "short" });
        assert_eq!(live.from(5).len(), 1, "the end is always told");
    }

    #[tokio::test]
    async fn whoever_waits_for_the_end_is_told_even_if_it_came_before() {
        let live = LiveRun::default();
        live.end();
        live.is_to_end().await;
        assert!(!live.is_over());
        live.is_over_now();
        live.over().await;
        assert!(live.is_over());
    }
}
