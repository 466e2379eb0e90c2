//! The floor below the protocols: what several readers and writers need, and what knows none of them.
//!
//! [`json`] writes JSON by hand for the hot path, [`http_error`] is an answer that says no, [`openai_error`] the error object that two
//! protocols share, [`tool_map`] remembers what each tool is called upstream, [`freeform`] wraps text as a function's argument
//! and takes it out again. All pure, and nothing here may import a protocol's folder.

pub(in crate::inbound) mod freeform;
pub mod http_error;
pub(in crate::inbound) mod json;
pub mod openai_error;
pub mod tool_map;
