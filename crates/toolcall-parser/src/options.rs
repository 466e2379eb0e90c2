//! What the caller tells the parser.

use crate::dialect::{Dialect, Dialects};
use crate::provenance::Provenance;
use crate::tool::Tool;

/// Tools, dialects and limits of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The tools that may be called. Without any, everything is text.
    pub tools: Vec<Tool>,
    /// The dialect the model is known to write. Its weaker forms are understood too then.
    pub hint: Option<Dialect>,
    /// The dialects that are looked for.
    pub dialects: Dialects,
    /// What is too much.
    pub limits: Limits,
    /// What the model did not write: a call in it is none. `None` when nothing is known of that.
    pub provenance: Option<Provenance>,
    /// Where a call is believed.
    pub trust: Trust,
}

/// Where a call is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Wherever it stands bare.
    #[default]
    Bare,
    /// Where nothing but calls follows it: of a model that has another way to call. It is handed out at the end of the text.
    Alone,
}

/// What is too much. Beyond a limit a call is refused, and its text is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls of one text.
    pub calls: usize,
    /// Bytes of one call, markup included: the most that is ever held back.
    pub call_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 128, call_bytes: 16 << 20 }
    }
}

impl Options {
    /// Every dialect, no hint, the default limits.
    pub fn new(tools: impl IntoIterator<Item = Tool>) -> Self {
        Self {
            tools: tools.into_iter().collect(),
            hint: None,
            dialects: Dialects::all(),
            limits: Limits::default(),
            provenance: None,
            trust: Trust::Bare,
        }
    }

    /// With a dialect that the model is known to write.
    #[must_use]
    pub fn hint(mut self, dialect: Option<Dialect>) -> Self {
        self.hint = dialect;
        self
    }

    /// With these dialects only.
    #[must_use]
    pub fn only(mut self, dialects: impl IntoIterator<Item = Dialect>) -> Self {
        self.dialects = dialects.into_iter().collect();
        self
    }

    /// Without this dialect.
    #[must_use]
    pub fn without(mut self, dialect: Dialect) -> Self {
        self.dialects.remove(dialect);
        self
    }

    /// With what the model did not write.
    #[must_use]
    pub fn provenance(mut self, provenance: Provenance) -> Self {
        self.provenance = Some(provenance);
        self
    }

    /// With this trust.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name() == name)
    }
}
