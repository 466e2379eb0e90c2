//! What must follow a block whose calls depend on it.

use crate::piece::Event;

/// What must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing else on the line.
    LineEnd,
    /// Nothing else at all.
    TextEnd,
}

/// What a block is, by what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its calls are made.
    Calls,
    /// It was meant as a call and is none.
    Broken,
    /// It is shown.
    Prose,
}

/// What is known of a block that is read ahead.
#[derive(Debug)]
pub(super) struct Trial {
    follows: Follows,
    stage: TrialStage,
    /// How much of the block and what follows is read.
    pub(super) done: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrialStage {
    /// There is no call yet.
    Block,
    /// There is one.
    Called,
    /// It is decided.
    Decided(Verdict),
}

impl Trial {
    pub(super) fn new(follows: Follows) -> Self {
        Self { follows, stage: TrialStage::Block, done: 0 }
    }

    /// Takes what reading ahead brings.
    pub(super) fn take(&mut self, event: &Event<'_>) {
        let text = match event {
            Event::CallEnded { .. } | Event::Request { .. } | Event::Cut { .. }
                if self.stage == TrialStage::Block =>
            {
                self.stage = TrialStage::Called;
                return;
            }
            Event::Problem(_) if self.stage == TrialStage::Block => {
                self.stage = TrialStage::Decided(Verdict::Broken);
                return;
            }
            Event::Text(text) => text,
            // White space between a call and the end is markup.
            Event::Markup(text) if text.trim().is_empty() => text,
            _ => return,
        };
        let blank = text.trim().is_empty();
        match (self.stage, self.follows) {
            (TrialStage::Decided(_), _) => {}
            (TrialStage::Called, Follows::LineEnd) => {
                let (line, ends) = text.split_once('\n').map_or((*text, false), |(line, _)| (line, true));
                if !line.trim().is_empty() {
                    self.stage = TrialStage::Decided(Verdict::Prose);
                } else if ends {
                    self.stage = TrialStage::Decided(Verdict::Calls);
                }
            }
            (TrialStage::Block, _) | (TrialStage::Called, Follows::TextEnd) => {
                if !blank {
                    self.stage = TrialStage::Decided(Verdict::Prose);
                }
            }
        }
    }

    /// What the block is, once that is known.
    pub(super) fn verdict(&self, end: bool) -> Option<Verdict> {
        match self.stage {
            TrialStage::Decided(verdict) => Some(verdict),
            TrialStage::Called => end.then_some(Verdict::Calls),
            TrialStage::Block => end.then_some(Verdict::Prose),
        }
    }
}
