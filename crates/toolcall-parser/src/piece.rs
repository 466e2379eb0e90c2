//! What comes out: pieces of a whole text, or events of a text that still arrives.

use std::fmt;
use std::ops::Range;

use crate::dialect::Dialect;

/// A part of the text, and what it is. The spans of all pieces, joined, are the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// What it is.
    pub kind: PieceKind,
}

/// What a part of a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PieceKind {
    /// For the reader, exactly as it stands.
    Text,
    /// Thoughts that the dialect marks as such.
    Reasoning,
    /// Tokens and tags that nobody needs to see.
    Markup,
    /// A call.
    Call(Call),
    /// A block that asks for something without saying what to run.
    Request(Request),
    /// A call that the end of the text cut. It must not be run, and it is no prose.
    Cut(Problem),
}

/// A call to a declared tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// How it was written.
    pub dialect: Dialect,
    /// The declared tool.
    pub name: String,
    /// The model's own id for the call, where its dialect has one.
    pub id: Option<String>,
    /// One valid JSON object.
    pub arguments: String,
    /// What was mended to make it valid.
    pub repairs: Vec<Repair>,
}

/// A block of markup that asks for something and is no call: it holds no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: RequestKind,
    /// The block's own text.
    pub body: String,
}

/// What a [`Request`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// That somebody look around: `<explore_agent>` and its kin.
    Explore,
    /// That the next command may do more: `<require_escalation>` and its kin.
    Escalation,
}

/// Something that looked like a call and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How it was written.
    pub dialect: Dialect,
    /// Why it is none.
    pub kind: ProblemKind,
    /// The tool it names, where it names one.
    pub name: Option<String>,
}

/// Why something is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The caller declared no such tool.
    Undeclared,
    /// The grammar or the arguments are broken, and no rule mends them in exactly one way.
    Malformed,
    /// The text ends in the middle of it.
    Truncated,
    /// A shell call without a command, or one whose command is not a command.
    NoCommand,
    /// A limit was passed.
    TooLarge,
}

/// What was mended on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// A comma before a closing bracket is gone.
    TrailingComma,
    /// A raw line break or tab in a JSON string is escaped.
    ControlCharacter,
    /// Python's quotes and words are JSON's.
    PythonSyntax,
    /// Another sign that stood between a key and its value is a colon.
    Separator,
    /// A backslash before a character that needs none is doubled.
    Backslash,
    /// Quotes inside a string are escaped; there was exactly one way.
    UnescapedQuotes,
    /// Outer brackets that were missing at the end of the text are there.
    MissingClose,
    /// Arguments or a command that were wrapped once too often are unwrapped.
    Unwrapped,
    /// Another common name of the tool or of its parameter stands for the declared one.
    Renamed,
    /// A permission is spelled as the client knows it, or gone where it knows none such.
    Permission,
    /// What stood around the arguments is gone: brackets, markup, remarks, the same arguments once more.
    Surroundings,
    /// Several objects in one call's arguments are several calls.
    Separated,
    /// Text of a tool that takes free text stands in its parameter.
    Wrapped,
    /// A patch is taken out of what was around it, and its first and last line are put right.
    Patch,
    /// An optional argument that was an empty text is left out.
    EmptyArgument,
}

/// What happens while a text arrives. The spans of the events that have text, joined, are the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Text for the reader.
    Text(&'a str),
    /// Thoughts that the dialect marks as such.
    Reasoning(&'a str),
    /// Tokens and tags that nobody needs to see.
    Markup(&'a str),
    /// Marks that open or close calls and do neither here, and white space beside them. They are text, unless the provider reports a
    /// call of its own beside them.
    Stray(&'a str),
    /// A call to a declared tool begins.
    CallStarted {
        /// Which call of this text, from 0.
        index: usize,
        /// The declared tool.
        name: &'a str,
        /// The model's own id.
        id: Option<&'a str>,
    },
    /// A piece of a call's arguments. All pieces of one call, joined, are its `arguments`.
    CallArguments {
        /// Which call.
        index: usize,
        /// JSON text.
        json: &'a str,
    },
    /// A call is whole: only now may it be run.
    CallEnded {
        /// Which call.
        index: usize,
        /// The call.
        call: &'a Call,
        /// Its source.
        text: &'a str,
    },
    /// A call that had begun is none after all.
    CallRefused {
        /// Which call.
        index: usize,
    },
    /// A block that asks for something without saying what to run.
    Request {
        /// What it asks for.
        request: &'a Request,
        /// Its source.
        text: &'a str,
    },
    /// A call that the end of the text cut.
    Cut {
        /// What is known of it.
        problem: &'a Problem,
        /// Its source.
        text: &'a str,
    },
    /// Why the text that follows, or the call before, is no call.
    Problem(&'a Problem),
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explore => "explore",
            Self::Escalation => "escalation",
        })
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undeclared => "the tool is not declared",
            Self::Malformed => "the call is malformed",
            Self::Truncated => "the text ends inside the call",
            Self::NoCommand => "there is no command to run",
            Self::TooLarge => "a limit is passed",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.dialect)?;
        match &self.name {
            Some(name) => write!(f, ": {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrailingComma => "trailing comma",
            Self::ControlCharacter => "control character",
            Self::PythonSyntax => "Python syntax",
            Self::Separator => "separator",
            Self::Backslash => "backslash",
            Self::UnescapedQuotes => "unescaped quotes",
            Self::MissingClose => "missing close",
            Self::Unwrapped => "unwrapped",
            Self::Renamed => "renamed",
            Self::Permission => "permission",
            Self::Surroundings => "surroundings",
            Self::Separated => "separated",
            Self::Wrapped => "wrapped",
            Self::Patch => "patch",
            Self::EmptyArgument => "empty argument",
        })
    }
}
