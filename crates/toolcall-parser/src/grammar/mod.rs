//! One grammar for each dialect, and the one table that says how they are told apart.
//!
//! A row's `opens` proves a dialect: from then on only its grammar is active, and what is broken is reported as broken in that
//! dialect. Rows are tried in order; unmistakable markers stand before tags that prose can contain.

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
mod tool_call_attr;
mod tool_tag;

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

/// Tokens without a meaning of their own that models leave behind. They are dropped once their dialect is known to be in use.
pub(crate) static STRAYS: &[(Dialect, &[&str])] = &[
    (Dialect::Hermes, &["</tool_call>", "<tool_call>", "<|im_end|>"]),
    (Dialect::QwenCoder, &["</tool_call>", "</function>", "<|im_end|>"]),
    (Dialect::SeedOss, &["</seed:tool_call>"]),
    (Dialect::Glm, &["</tool_call>", "<|observation|>", "<|endoftext|>"]),
    (Dialect::Hunyuan, &["</tool_calls>", "</tool_call>"]),
    (
        Dialect::KimiK2,
        &[
            "<|tool_calls_section_end|>",
            "<|tool_call_section_end|>",
            "<|tool_calls_section_begin|>",
            "<|tool_call_end|>",
            "<|tool_call_begin|>",
            "<|im_end|>",
        ],
    ),
    (
        Dialect::KimiK3,
        &["<|close|>tools<|sep|>", "<|close|>response<|sep|>", "<|open|>response<|sep|>", "<|end_of_msg|>"],
    ),
    (Dialect::DeepseekV3, &["<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "<｜end▁of▁sentence｜>"]),
    (Dialect::DeepseekV31, &["<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "<｜end▁of▁sentence｜>"]),
    (
        Dialect::Dsml,
        &[
            "</｜DSML｜tool_calls>",
            "</｜DSML｜function_calls>",
            "</｜｜DSML｜｜tool_calls>",
            "</||DSML||tool_calls>",
            "</|DSML|tool_calls>",
            "<｜end▁of▁sentence｜>",
        ],
    ),
    (Dialect::MinimaxM2, &["</minimax:tool_call>", "[e~["]),
    (Dialect::MinimaxM3, &["]<]minimax[>["]),
    (Dialect::Mistral, &["[/TOOL_CALLS]", "</s>"]),
    (Dialect::Llama, &["<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]),
    (Dialect::Pythonic, &["<|python_end|>", "<|python_start|>", "<|eot|>", "<|eom|>"]),
    (Dialect::Lfm2, &["<|tool_call_end|>", "<|im_end|>"]),
    (Dialect::Harmony, &["<|end|>", "<|call|>", "<|return|>", "<|start|>assistant"]),
    (
        Dialect::Cohere,
        &[
            "<|START_RESPONSE|>",
            "<|END_RESPONSE|>",
            "<|START_TEXT|>",
            "<|END_TEXT|>",
            "<|END_ACTION|>",
            "<|END_THINKING|>",
            "<|END_OF_TURN_TOKEN|>",
        ],
    ),
    (Dialect::InternLm, &["<|action_end|>", "<|im_end|>"]),
    (Dialect::Gemma, &["<tool_call|>", "<end_function_call>", "<turn|>", "<end_of_turn>"]),
    (Dialect::Inkling, &["<|end_message|>", "<|content_text|>"]),
    (Dialect::Claude, &["</function_calls>", "</invoke>"]),
    (Dialect::Nemotron, &["</TOOLCALL>"]),
    (Dialect::Granite, &["<|end_of_text|>"]),
    (Dialect::ToolCallAttr, &["</tool_call>", "</tool_call)>"]),
    (Dialect::LongCat, &["</longcat_tool_call>"]),
];
