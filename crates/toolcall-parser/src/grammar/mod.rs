//! One grammar for each dialect, and the one table that says how they are told apart.
//!
//! A row's `opens` proves a dialect: from then on only its grammar is active, and what is broken is reported as broken in that
//! dialect. Rows are tried in order; unmistakable markers stand before tags that prose can contain.

mod arrows;
mod bash;
mod claude;
mod cohere;
mod deepseek;
mod dsml;
mod function_tag;
mod gemma;
mod glm;
mod harmony;
mod hermes;
mod hunyuan;
mod json_tags;
mod kimi;
mod kimi_k3;
mod lines;
mod minimax;
mod minimax_m3;
mod mistral;
mod plamo;
mod pythonic;
mod raw_json;
mod requests;
mod step3;
mod strays;
mod tool_call_attr;
mod tool_tag;

pub(crate) use harmony::LEFTOVER_HEADS;
pub(crate) use strays::{STRAYS, may_be_stray};
pub(crate) use tool_tag::tool_close;

use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::lex::LexResult;
use crate::options::Options;

/// One row: how a dialect begins, and what reads on from there.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) dialect: Dialect,
    /// The byte it begins with.
    pub(crate) trigger: u8,
    /// Where it may begin.
    pub(crate) place: Place,
    /// Whether its dialect has to be the hint.
    pub(crate) hint_only: bool,
    pub(crate) opens: Opens,
    pub(crate) engine: Engine,
}

impl Row {
    /// Whether nothing but its shape says that it is a call.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.dialect, Dialect::RawJson)
            || self.trigger == NAME
            || (self.trigger == b'[' && matches!(self.dialect, Dialect::Pythonic | Dialect::Sarashina))
    }
}

/// Where a dialect may begin. Never in code, wherever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Anywhere: no prose looks like this.
    Anywhere,
    /// Not in a quotation.
    Unquoted,
    /// At the start of a line, blanks aside.
    LineStart,
}

/// The trigger of rows that begin with the name of a tool at the start of a line, where a token before it was lost. What is looked
/// for is the mark behind the name.
pub(crate) const NAME: u8 = b'n';

/// How a dialect is recognised. The parser consumes what the engine needs no more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opens {
    /// By its text alone.
    Text(for<'a> fn(&'a str) -> LexResult<'a, ()>),
    /// By its text and the declared tools.
    Tools(for<'a> fn(&'a str, &Options) -> LexResult<'a, ()>),
}

/// Every row, in the order in which they are tried.
pub(crate) static ROWS: &[&[Row]] = &[
    dsml::ROWS,
    step3::ROWS,
    deepseek::ROWS,
    kimi::ROWS,
    kimi_k3::ROWS,
    minimax_m3::ROWS,
    minimax::ROWS,
    arrows::ROWS,
    json_tags::ROWS,
    plamo::ROWS,
    gemma::ROWS,
    cohere::ROWS,
    harmony::ROWS,
    mistral::ROWS,
    pythonic::ROWS,
    hermes::ROWS,
    glm::ROWS,
    hunyuan::ROWS,
    tool_call_attr::ROWS,
    claude::ROWS,
    function_tag::ROWS,
    bash::ROWS,
    requests::ROWS,
    tool_tag::ROWS,
    raw_json::ROWS,
    lines::ROWS,
];
