//! What the scan is in the middle of, and what it does after a look at the text.

use crate::engine::EngineState;
use crate::grammar::Row;
use crate::json::Span;
use crate::prose::CodeSpan;

/// What the scan is in the middle of.
#[derive(Debug)]
pub(super) enum Mode {
    Prose,
    CodeSpan(CodeSpan),
    /// JSON that is no call.
    Data(Span),
    /// Thoughts between tags. Once something in them looks like a call, all is held until it is clear whether they are closed.
    Thoughts {
        close: &'static str,
        held: bool,
        at: usize,
    },
    /// A block; so many bytes of markup before what its machine looks at are not handed out yet.
    Block(&'static Row, EngineState, usize),
    /// Results that the model invents: nobody sees them, nothing in them is read.
    InventedResult(&'static str),
    /// Behind something broken: text, up to the dialect's next marker.
    Resync(&'static Row),
}

/// What to do after a look at the text.
pub(super) enum Next {
    /// Go on behind these bytes.
    On(usize),
    /// Wait for more, all but these bytes.
    Wait(usize),
}
