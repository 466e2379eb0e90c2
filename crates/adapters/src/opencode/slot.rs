//! The turn that runs in a session: where its events go, and what the agent says in it.

use std::sync::Arc;

use super::line::{EventPart, Properties};
use crate::agents::queue::LineQueue;
use crate::clock;

/// What is done when a turn came to its end, with what was said in it.
pub type OnIdle = Box<dyn FnOnce(String) + Send>;

/// The turn of a session.
pub struct Slot {
    pub(super) queue: Arc<LineQueue>,
    /// Gone once the turn failed.
    on_end: Option<OnIdle>,
    /// Messages of the agent.
    messages: Vec<String>,
    answer: String,
    /// The server works at this turn: an end before that was another one's.
    is_busy: bool,
}

impl Slot {
    /// A turn that begins.
    pub fn new(queue: Arc<LineQueue>, on_end: OnIdle) -> Self {
        let on_end = Some(on_end);
        Self { queue, on_end, messages: Vec::new(), answer: String::new(), is_busy: false }
    }

    /// Takes an event of its session.
    pub(super) fn take(&mut self, kind: &str, properties: &Properties<'_>, data: &[u8]) {
        let status = properties.status.0.as_ref().and_then(|status| status.kind.some());
        match kind {
            "message.updated" => {
                if let Some(info) = &properties.info.0
                    && info.role.some() == Some("assistant")
                    && let Some(id) = info.id.some()
                    && !self.messages.iter().any(|known| known == id)
                {
                    self.messages.push(id.to_owned());
                }
            }
            "message.part.updated" => {
                if let Some(part) = &properties.part.0 {
                    self.part(part);
                }
            }
            "session.status" => self.is_busy |= status == Some("busy"),
            "session.error" => self.on_end = None,
            "session.idle" if self.is_busy => {
                if let Some(on_end) = self.on_end.take() {
                    on_end(std::mem::take(&mut self.answer));
                }
            }
            _ => {}
        }
        let mut line = Vec::with_capacity(data.len() + 1);
        line.extend_from_slice(data);
        line.push(b'\n');
        // A new try of the model's request is no sign of life.
        self.queue.push(line.into(), (status != Some("retry")).then(clock::now));
    }

    fn part(&mut self, part: &EventPart<'_>) {
        match part.kind.some() {
            Some("text") => {
                let is_whole = part.time.0.and_then(|time| time.end.0).is_some();
                let is_agents = part
                    .message
                    .some()
                    .is_some_and(|message| self.messages.iter().any(|known| known == message));
                if is_whole && is_agents {
                    self.answer.push_str(part.text.some().unwrap_or_default());
                    self.answer.push('\n');
                }
            }
            // A tool that works is no silence.
            Some("tool") => {
                let state = part.state.0.as_ref().and_then(|state| state.status.some());
                let is_open = matches!(state, Some("running" | "pending"));
                self.queue.note(|signs| signs.open_tools = u32::from(is_open));
            }
            _ => {}
        }
    }
}
