//! What the scan is in the middle of, and what it does after a look at the text.

use crate::context::code::CodeSpan;
use crate::context::tags::Tag;
use crate::engine::EngineState;
use crate::grammar::Row;
use crate::json::Span;

/// What the scan is in the middle of.
#[derive(Debug)]
pub(super) enum Mode {
    Prose,
    /// Behind a tag that an invisible character makes none.
    Escaped,
    CodeSpan(CodeSpan),
    /// In a tag that shows what is in it.
    Tag(Tag),
    /// JSON that is no call.
    Data(Span),
    /// Thoughts between tags. Once something in them looks like a call, all is held until it is clear whether they are closed.
    Thoughts {
        close: &'static str,
        held: bool,
        at: usize,
    },
    /// A block; so many bytes of markup before what its machine looks at are not handed out yet.
    Block(&'static Row, Box<EngineState>, usize),
    /// The same, of a block that is a call only if the right thing follows it.
    Trial(&'static Row, usize),
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

/// What becomes of the calls of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are made.
    Taken,
    /// The last one was refused and is text: so is the markup that closes it.
    Refused,
    /// They are none: what is wrong is said, and all of the block is text.
    Broken,
    /// They are quoted: all of the block is text.
    Quoted,
}
