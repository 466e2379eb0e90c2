//! Marks without a meaning of their own that models leave behind: they open or close nothing any more.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::take_while_m_n;
use nom::combinator::value;

use crate::dialect::Dialect;
use crate::lex::{LexResult, any_of, attributes, blanks, is_bar, mark};

/// The marks of one dialect, those that are the beginning of others last. They are dropped once their dialect is known to be in use.
pub(crate) struct Strays {
    pub(crate) dialect: Dialect,
    words: &'static [&'static str],
    /// Marks that no list of words has.
    others: Option<for<'a> fn(&'a str) -> LexResult<'a, ()>>,
}

impl Strays {
    /// Whether this mark stands around every answer of a model, and so is never prose.
    pub(crate) fn frames(&self, mark: &str) -> bool {
        self.dialect == Dialect::KimiK3 && (mark.contains("response") || mark.contains("message"))
    }

    /// A mark at the start of the text.
    pub(crate) fn find<'a>(&self, input: &'a str) -> LexResult<'a, ()> {
        match (any_of(self.words, input), self.others) {
            (Err(nom::Err::Error(_)), Some(others)) => others(input),
            (found, _) => found,
        }
    }
}

/// What the tags among the marks begin with, behind `<` or `</`.
const TAG_BEGINS: [&str; 18] = [
    "tool", "func", "para", "invo", "arg_", "step", "mini", "seed", "ifm|", "long", "dots", "TOOL", "iqu",
    "end_", "s>", "star", "turn", "calls",
];

/// The longest prefix of a tag, without its colon.
const MAX_PREFIX: usize = 16;

/// Whether a mark may stand here: most of what begins like one is told apart at once.
pub(crate) fn may_be_stray(rest: &str) -> bool {
    let blank = |c: char| c == ' ' || c == '\t';
    let Some(inside) = rest.strip_prefix('<') else {
        let next = rest[1..].trim_start_matches(blank).bytes().next();
        return matches!(next, None | Some(b'T' | b'/' | b'A' | b'e' | b'<'));
    };
    let inside = inside.trim_start_matches(blank);
    let inside = inside.strip_prefix('/').unwrap_or(inside).trim_start_matches(blank);
    let begins =
        |text: &str| TAG_BEGINS.iter().any(|begin| text.starts_with(begin) || begin.starts_with(text));
    // What stands before a colon, if there is one in reach: what comes later in the text decides nothing.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let prefix = inside.bytes().take(MAX_PREFIX + 1).take_while(is_name).count();
    let begun = prefix <= MAX_PREFIX && prefix == inside.len();
    let local = inside[prefix..].strip_prefix(':').filter(|_| (1..=MAX_PREFIX).contains(&prefix));
    begun || inside.starts_with(is_bar) || begins(inside) || local.is_some_and(begins)
}

const fn words(dialect: Dialect, words: &'static [&'static str]) -> Strays {
    Strays { dialect, words, others: None }
}

pub(crate) static STRAYS: &[Strays] = &[
    words(Dialect::Hermes, &["</tool_call>", "<tool_call>", "<|im_end|>"]),
    words(
        Dialect::QwenCoder,
        &["</tool_call>", "<tool_call>", "</function>", "</parameter>", "<|im_end|>", "<|endoftext|>"],
    ),
    words(Dialect::SeedOss, &["</seed:tool_call>", "<seed:tool_call>", "</function>", "</parameter>"]),
    words(
        Dialect::Glm,
        &["</tool_call>", "<tool_call>", "</arg_value>", "</arg_key>", "<|observation|>", "<|endoftext|>"],
    ),
    words(
        Dialect::K2Horizon,
        &["</ifm|tool_calls>", "<ifm|tool_calls>", "</ifm|tool_call>", "</ifm|arg_value>", "</ifm|arg_key>"],
    ),
    Strays { dialect: Dialect::Hunyuan, words: &[], others: Some(super::hunyuan::any_close) },
    words(
        Dialect::KimiK2,
        &[
            "<|tool_calls_section_end|>",
            "<|tool_call_section_end|>",
            "<|tool_calls_section_begin|>",
            "<|tool_call_section_begin|>",
            "<|tool_call_end|>",
            "<|tool_call_begin|>",
            "<|tool_call_argument_begin|>",
            "<|im_end|>",
        ],
    ),
    Strays { dialect: Dialect::KimiK3, words: &["<|end_of_msg|>"], others: Some(channel) },
    words(
        Dialect::DeepseekV3,
        &["<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁begin｜>", "<｜end▁of▁sentence｜>"],
    ),
    words(
        Dialect::DeepseekV31,
        &["<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁begin｜>", "<｜end▁of▁sentence｜>"],
    ),
    words(
        Dialect::Step3,
        &[
            "<｜tool_calls_end｜>",
            "<｜tool_call_end｜>",
            "<｜tool_calls_begin｜>",
            "</steptml:invoke>",
            "</steptml:parameter>",
        ],
    ),
    Strays {
        dialect: Dialect::Dsml,
        words: &["</tool_calls>", "</function_calls>", "</invoke>", "</parameter>", "<｜end▁of▁sentence｜>"],
        others: Some(super::dsml::any_close),
    },
    words(
        Dialect::MinimaxM2,
        &[
            "</minimax:tool_call>",
            "<minimax:tool_call>",
            "</invoke>",
            "</parameter>",
            "[/TOOL_CALL]",
            "[TOOL_CALL]",
            "[e~[",
        ],
    ),
    words(
        Dialect::MinimaxM3,
        &["]<]minimax[>[</tool_call>", "]<]minimax[>[</invoke>", "]<]minimax[>[", "</tool_call>"],
    ),
    words(Dialect::Mistral, &["[/TOOL_CALLS]", "[TOOL_CALLS]", "[ARGS]", "</s>"]),
    words(Dialect::Llama, &["<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]),
    words(Dialect::Pythonic, &["<|python_end|>", "<|python_start|>", "<|eot|>", "<|eom|>"]),
    words(Dialect::Lfm2, &["<|tool_call_end|>", "<|tool_call_start|>", "<|im_end|>"]),
    words(
        Dialect::Harmony,
        &["<|end|>", "<|call|>", "<|return|>", "<|start|>assistant", "<|constrain|>json", "<|message|>"],
    ),
    words(
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
    words(Dialect::InternLm, &["<|action_end|>", "<|action_start|>", "<|plugin|>", "<|im_end|>"]),
    words(
        Dialect::Gemma,
        &[
            "<tool_call|>",
            "<end_function_call>",
            "<start_function_call>",
            "<|tool_call>",
            "<turn|>",
            "<end_of_turn>",
        ],
    ),
    words(Dialect::Inkling, &["<|end_message|>", "<|content_text|>", "<|content_invoke_tool_json|>"]),
    Strays { dialect: Dialect::Claude, words: &[], others: Some(super::claude::any_close) },
    words(Dialect::Nemotron, &["</TOOLCALL>", "<TOOLCALL>"]),
    words(Dialect::Granite, &["<|/tool_call|>", "<|tool_call|>", "</function_call>", "<|end_of_text|>"]),
    words(Dialect::ToolCallAttr, &["</tool_call>", "</tool_call)>", "</parameter>", "</param>"]),
    words(Dialect::FunctionTag, &["</function>", "</parameter>", "</param>", "</tool_call>", "<tool_call>"]),
    words(Dialect::LongCat, &["</longcat_tool_call>", "<longcat_tool_call>"]),
    words(Dialect::Dots, &["</dots_function_call>", "<dots_function_call>", "</invoke>", "</parameter>"]),
    words(Dialect::Jamba, &["</tool_calls>", "<tool_calls>"]),
    words(Dialect::Olmo, &["</function_calls>", "<function_calls>"]),
    words(Dialect::Apertus, &["<|tools_suffix|>", "<|tools_prefix|>"]),
    words(Dialect::Sarashina, &["<|tool_calls|>", "</s>"]),
    words(Dialect::GigaChat, &["<|message_sep|>", "<|function_call|>", "<|role_sep|>", "</s>"]),
    Strays { dialect: Dialect::Plamo, words: &["<|plamo:msg|>", "<|plamo:tag|>"], others: Some(plamo) },
];

/// `<|open|>message …<|sep|>`, `<|close|>message<|sep|>` and the other channels of Kimi K3.
fn channel(input: &str) -> LexResult<'_, ()> {
    let lone = |input| any_of(&["<|open|>", "<|close|>", "<|sep|>"], input);
    alt((whole_channel, lone)).parse(input)
}

fn whole_channel(input: &str) -> LexResult<'_, ()> {
    let names = ["response", "message", "tools", "call", "argument", "json"];
    let begins = alt((mark("<|open|>"), mark("<|close|>")));
    let (input, _) = (begins, blanks).parse(input)?;
    let (input, ()) = any_of(&names, input)?;
    value((), (attributes, blanks, mark("<|sep|>"))).parse(input)
}

/// Any token of PLaMo's that ends something, and the one around all requests.
fn plamo(input: &str) -> LexResult<'_, ()> {
    let part = take_while_m_n(1, 40, |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '▁' | '\\' | ' '));
    let word = alt((value((), (mark("end_"), part)), mark("begin_tool_requests")));
    value((), (mark("<|plamo:"), word, mark(":plamo|>"))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzz target: a colon further on made a tag of a prefix out of any other.
    #[test]
    fn what_comes_later_decides_nothing() {
        for (tag, expected) in [
            ("</calls>", true),
            ("</span>", false),
            ("</invoke>", true),
            ("</abc:def>", false),
            ("<d.", false),
        ] {
            for later in ["", " and", ": so", "</x:y>"] {
                assert_eq!(may_be_stray(&format!("{tag}{later}")), expected, "{tag}{later}");
            }
        }
    }

    #[test]
    fn the_filter_lets_every_word_and_its_beginnings_through() {
        for strays in STRAYS {
            for word in strays.words.iter().filter(|word| word.starts_with(['<', '['])) {
                for end in 1..=word.len() {
                    let Some(begin) = word.get(..end) else { continue };
                    assert!(may_be_stray(begin), "{begin}");
                }
            }
        }
    }
}
