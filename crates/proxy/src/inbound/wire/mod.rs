//! The floor below the protocols: what several readers and writers need, and what knows none of them.
//!
//! `field` reads the fields of a request, `path` says where each stands and [`bad_field`] what is wrong with it; [`http_error`] is an
//! error as an HTTP answer and [`openai_error`] the error object that two protocols share; [`tool_map`] remembers what each tool is called
//! upstream, `freeform` wraps text as a function's argument and takes it out again, [`depth`] bounds how deep JSON may be, `media` puts pictures
//! and files into URLs, `json` writes JSON by hand for the hot path, and [`rope`] holds long texts that are repeated. All pure, and nothing here
//! may import a protocol's folder.

pub mod bad_field;
pub mod depth;
pub(in crate::inbound) mod field;
pub(in crate::inbound) mod freeform;
pub mod http_error;
pub(in crate::inbound) mod json;
pub(in crate::inbound) mod media;
pub mod openai_error;
pub(in crate::inbound) mod path;
pub mod rope;
pub mod tool_map;
