//! Finds the tool calls that language models write as text.
//!
//! Models are trained to call tools in a format of their own, and a server that does not know the format hands it on as prose. This
//! crate reads some forty such dialects, tells them apart by itself, and gives back calls to the tools that the caller declared,
//! each with one valid JSON object of arguments. Whole texts go through [`parse`]; text that still arrives goes through a
//! [`Scanner`], which gives the same result however the text is cut and holds back no more than what may still become a call.
//!
//! ```
//! use toolcall_parser::{Options, PieceKind, Tool, parse};
//!
//! let schema = r#"{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}"#;
//! let options = Options::new([Tool::new("read_file", schema)]);
//! let text = "Let me look.\n<tool_call>\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"src/lib.rs\"}}\n</tool_call>";
//! let pieces = parse(text, &options);
//! let PieceKind::Call(call) = &pieces[2].kind else { panic!("{pieces:?}") };
//! assert_eq!((call.name.as_str(), call.arguments.as_str()), ("read_file", r#"{"path":"src/lib.rs"}"#));
//! ```
//!
//! # What it promises
//!
//! - **It never fails and loses nothing.** The spans of all pieces, joined, are the text.
//! - **It never guesses.** Only declared tools are called. A call that the end of the text cuts is not a call. Broken JSON is mended
//!   by stated rules, and only in one way; see [`Repair`].
//! - **It knows a quotation.** A call stands bare: at the start of a line, or behind a whole sentence with nothing else behind it on its
//!   line. In code, quotations, lists' continuation lines, literals, listings, tables, comments and tags that show something it is
//!   prose, whole. So it is wherever somebody else wrote it before; see [`Provenance`].
//! - **It evaluates nothing.** Python is read as literals; an expression refuses the call.
//! - **Its work is linear** in the length of the text, and its memory is bounded by [`Limits`], whatever the text.
//!
//! The crate knows text and JSON Schema. It knows nothing of networks, clocks, protocols or providers, and must not.

mod contents;
mod context;
mod dialect;
mod engine;
mod grammar;
pub mod intent;
mod json;
mod lex;
mod mend;
mod objects;
mod options;
mod patch;
mod piece;
mod prose;
mod provenance;
mod python;
mod sanitize;
mod scan;
mod settle;
mod shell;
mod tool;

pub use dialect::{Dialect, Dialects};
pub use options::{Limits, Options, Trust};
pub use patch::patch;
pub use piece::{Call, Event, Piece, PieceKind, Problem, ProblemKind, Repair, Request, RequestKind};
pub use provenance::{Provenance, Writer};
pub use sanitize::{Rules, sanitize};
pub use scan::{Parser, Scanner, parse};
pub use tool::Tool;
