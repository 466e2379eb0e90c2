//! Which field of the request a refusal is about, and what it says that may stand there.

use super::{Refusal, Teaching};
use crate::errors::has_word;
use crate::errors::tokens::numbers;
use crate::field_rules::{FieldRule, find};

/// Fields whose values providers differ about, by their path in any protocol.
const FIELDS: [&str; 34] = [
    "reasoning_effort",
    "reasoning.effort",
    "reasoning.summary",
    "reasoning.mode",
    "output_config.effort",
    "params.reasoning_effort",
    "generationConfig.thinkingConfig.thinkingLevel",
    "generationConfig.thinkingConfig.thinkingBudget",
    "verbosity",
    "text.verbosity",
    "text.format.type",
    "response_format.type",
    "service_tier",
    "tool_choice.type",
    "tool_choice",
    "toolConfig.functionCallingConfig.mode",
    "thinking.type",
    "thinking.budget_tokens",
    "truncation",
    "prompt_cache_retention",
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "params.temperature",
    "generationConfig.temperature",
    "generationConfig.topP",
    "generationConfig.topK",
    "generationConfig.presencePenalty",
    "generationConfig.frequencyPenalty",
    "n",
    "top_logprobs",
    "max_tool_calls",
];
/// Fields without which there is no request: none of them is ever left out.
const NEEDED: [&str; 18] = [
    "model",
    "messages",
    "input",
    "contents",
    "system",
    "systemInstruction",
    "instructions",
    "tools",
    "functions",
    "stream",
    "params",
    "generationConfig",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "threadId",
    "config",
    "store",
];
/// What stands before a list of values, in lower case. The first ones say it for sure.
const LEADS: [&str; 34] = [
    "supported values are",
    "supported values",
    "allowed values are",
    "allowed values",
    "valid values are",
    "valid values",
    "accepted values are",
    "accepted values",
    "permitted values are",
    "permitted values",
    "possible values are",
    "possible values",
    "available values",
    "valid options are",
    "valid options",
    "options are",
    "choose from",
    "choose one of",
    "must be one of",
    "should be one of",
    "expected one of",
    "to be one of",
    "one of",
    "must be either",
    "only supports",
    "only support",
    "supports only",
    "可选值",
    "取值范围",
    "支持的值",
    "仅支持",
    "只支持",
    "必须是",
    "取值",
];
/// What stands before a list of values in quotation marks.
const QUOTED_LEADS: [&str; 5] = ["input should be", "must be", "should be", "expected", "supported:"];
/// Words that are no values.
const NO_VALUES: [&str; 20] = [
    "string", "integer", "number", "null", "object", "array", "boolean", "a", "an", "the", "value", "values",
    "got", "but", "instead", "is", "are", "valid", "positive", "none.",
];
/// What says that a field is not known.
const UNKNOWN: [&str; 20] = [
    "unsupported",
    "not supported",
    "does not support",
    "unknown",
    "unrecognized",
    "unexpected",
    "extra inputs",
    "extra fields",
    "not permitted",
    "not allowed",
    "cannot find field",
    "additional properties",
    "no such",
    "is not a valid",
    "invalid parameter",
    "unknown_parameter",
    "unsupported_parameter",
    "不支持",
    "未知",
    "无效的参数",
];

/// A field of which the refusal says what it takes: a list of values, or the ends of a range.
pub(super) fn listed(refusal: &Refusal<'_>) -> Option<Teaching> {
    let path = field(refusal)?;
    let steps: Vec<&str> = path.split('.').collect();
    let current = find(refusal.body(), &steps)?;
    let rule = if current.parse::<f64>().is_ok() {
        range(&refusal.words.message.to_lowercase(), current.parse().ok()?)?
    } else {
        let wanted = current.trim_matches('"');
        let values = values(&refusal.words.message, wanted, &path);
        (!values.is_empty() && !values.iter().any(|value| value == wanted))
            .then_some(FieldRule::OneOf(values))?
    };
    Some(Teaching::Field { path, rule })
}

/// A field that the refusal calls unknown, and without which there still is a request.
pub(super) fn unknown(refusal: &Refusal<'_>) -> Option<Teaching> {
    if !has_word(&refusal.lower, &UNKNOWN) {
        return None;
    }
    let path = field(refusal).or_else(|| quoted_field(refusal))?;
    let root = path.split('.').next().unwrap_or_default();
    let may_go = !NEEDED.contains(&path.as_str()) && (path.contains('.') || !NEEDED.contains(&root));
    may_go.then_some(Teaching::Field { path, rule: FieldRule::Absent })
}

/// The path of the field that is meant, where the request has it.
fn field(refusal: &Refusal<'_>) -> Option<String> {
    let body = refusal.body();
    let is_there = |path: &str| {
        let steps: Vec<&str> = path.split('.').collect();
        find(body, &steps).is_some_and(|value| value != "null")
    };
    let present = || FIELDS.iter().filter(|path| is_there(path));
    let param = refusal.param().trim_start_matches("body.");
    if !param.is_empty() {
        if param.contains('[') {
            return None;
        }
        let same = |path: &&&str| spelling(path) == spelling(param);
        let known = present().find(same).map(|path| (*path).to_owned());
        let last =
            |path: &&&str| path.rsplit('.').next().map(spelling) == param.rsplit('.').next().map(spelling);
        return known
            .or_else(|| is_there(param).then(|| param.to_owned()))
            .or_else(|| present().find(last).map(|path| (*path).to_owned()));
    }
    let lower = refusal.words.message.to_lowercase();
    let mentioned = |path: &&&str| {
        let path = path.to_lowercase();
        let name = path.rsplit('.').next().unwrap_or_default().to_owned();
        // `type`, `mode` and `n` mean something only below their parent.
        has_word(&lower, &[&path]) || (name.len() > 4 && has_word(&lower, &[&name]))
    };
    let by_name = present().filter(mentioned).max_by_key(|path| path.len());
    let by_value = || {
        present().find(|path| {
            let steps: Vec<&str> = path.split('.').collect();
            let value = find(body, &steps).and_then(|value| serde_json::from_str::<String>(value).ok());
            value.is_some_and(|value| {
                ['\'', '"', '`']
                    .iter()
                    .any(|quote| lower.contains(&format!("{quote}{}{quote}", value.to_lowercase())))
            })
        })
    };
    by_name.or_else(by_value).map(|path| (*path).to_owned())
}

/// A field of the request's first level whose name stands in the refusal, in quotation marks or behind `supplied:`.
fn quoted_field(refusal: &Refusal<'_>) -> Option<String> {
    let message = &refusal.words.message;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let quoted = message.split(['\'', '"', '`']).skip(1).step_by(2);
    let behind = message.rsplit(": ").next();
    quoted.chain(behind).find_map(|name| {
        let name = name.trim_matches(|c: char| !is_name(c));
        let is_field = !name.is_empty() && name.len() < 64 && name.chars().all(is_name);
        (is_field && find(refusal.body(), &[name]).is_some()).then(|| name.to_owned())
    })
}

/// A name without what protocols spell differently.
fn spelling(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The values that a refusal lists.
fn values(message: &str, wanted: &str, path: &str) -> Vec<String> {
    let lower = message.to_lowercase();
    let behind = |lead: &str| {
        lower.match_indices(lead).filter_map(|(at, _)| message.get(at + lead.len()..)).collect::<Vec<_>>()
    };
    let clean = |list: Vec<String>| -> Vec<String> {
        let name = path.rsplit('.').next().unwrap_or_default();
        let is_value = |value: &String| {
            !value.is_empty()
                && value != wanted
                && value != name
                && value != path
                && !NO_VALUES.contains(&value.to_ascii_lowercase().as_str())
        };
        list.into_iter().filter(is_value).collect()
    };
    let sure = LEADS.iter().flat_map(|lead| behind(lead)).map(|text| {
        let quoted = clean(quoted(text));
        if quoted.is_empty() { clean(bare(text)) } else { quoted }
    });
    let best = sure.max_by_key(Vec::len).unwrap_or_default();
    if !best.is_empty() {
        return best;
    }
    let quoted = QUOTED_LEADS.iter().flat_map(|lead| behind(lead)).map(|text| clean(quoted(text)));
    quoted.max_by_key(Vec::len).unwrap_or_default()
}

/// The words in quotation marks at the beginning of a text, one behind the other: `'a', 'b', and 'c'`.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let is_mark =
            |c: char| matches!(c, ' ' | ',' | ':' | ';' | '|' | '/' | '：' | '，' | '、' | '为' | '是');
        let begins = |c: char| is_mark(c) || (found.is_empty() && matches!(c, '[' | '('));
        let opening = rest.trim_start_matches(begins);
        let opening = ["and ", "or ", "either ", "和", "或"]
            .iter()
            .fold(opening, |text, word| text.strip_prefix(word).unwrap_or(text))
            .trim_start();
        let Some(quote) = opening.chars().next().filter(|c| matches!(c, '\'' | '"' | '`' | '“')) else {
            break;
        };
        let inside = opening.get(quote.len_utf8()..).unwrap_or_default();
        let closing = if quote == '“' { '”' } else { quote };
        let Some(end) = inside.find(closing) else { break };
        let value = inside.get(..end).unwrap_or_default();
        if value.len() > 40 || value.contains(' ') {
            break;
        }
        found.push(value.to_owned());
        rest = inside.get(end + closing.len_utf8()..).unwrap_or_default();
    }
    found
}

/// The words of a list without quotation marks, up to the end of the sentence: `low, medium or high`.
fn bare(text: &str) -> Vec<String> {
    let text = text.trim_start_matches([' ', ':', '[', '(', '：', '{', '为', '是']);
    let sentence = text.split(['\n', ']', ')', '}', ';', '。', '；']).next().unwrap_or_default();
    let sentence = sentence.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let parts = sentence
        .split([',', '|', '/', '、', '，'])
        .flat_map(|part| part.split(" or "))
        .flat_map(|part| part.split(" and "));
    let mut found = Vec::new();
    for part in parts {
        let word = part.trim().trim_start_matches("or ").trim_start_matches("and ").trim();
        if word.is_empty() {
            continue;
        }
        let is_value = word.len() <= 30
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            && word.chars().any(|c| c.is_ascii_alphabetic());
        if !is_value {
            break;
        }
        found.push(word.to_owned());
    }
    found
}

/// The ends of a range that `wanted` is outside of.
fn range(lower: &str, wanted: f64) -> Option<FieldRule> {
    let numbers = numbers(lower);
    let (mut min, mut max) = (None, None);
    for (at, number) in numbers.iter().enumerate() {
        let start = at.checked_sub(1).and_then(|last| numbers.get(last)).map_or(0, |last| last.end);
        let before = lower.get(start..number.start).unwrap_or_default().trim_end_matches(['`', '\'', '"']);
        let is_negative = before.ends_with('-') && !before.ends_with(" - ");
        let value = if is_negative { -number.value } else { number.value };
        let before = before.trim_end_matches('-').trim_end();
        let ends = |words: &[&str]| words.iter().any(|word| before.ends_with(word));
        let next = numbers
            .get(at + 1)
            .map(|next| (lower.get(number.end..next.start).unwrap_or_default().trim(), next));
        if let Some((between, next)) = next {
            let opens = before.ends_with(['[', '(']);
            let is_range = match between.trim_end_matches('-').trim() {
                "," => opens,
                "and" => before.ends_with("between"),
                "to" | "~" | ".." => true,
                _ => false,
            };
            if is_range {
                return outside(Some(value), Some(next.value), wanted);
            }
        }
        if ends(&[
            "<=",
            "≤",
            "at most",
            "less than or equal to",
            "no more than",
            "up to",
            "maximum is",
            "maximum of",
            "maximum:",
            "不能超过",
            "小于等于",
            "不大于",
        ]) {
            max = Some(value);
        } else if ends(&[
            ">=",
            "≥",
            "at least",
            "greater than or equal to",
            "no less than",
            "minimum is",
            "minimum of",
            "minimum:",
            "大于等于",
            "不小于",
        ]) {
            min = Some(value);
        }
    }
    outside(min, max, wanted)
}

/// A range, where the number that was sent is not inside it.
fn outside(min: Option<f64>, max: Option<f64>, wanted: f64) -> Option<FieldRule> {
    let is_outside = min.is_some_and(|min| wanted < min) || max.is_some_and(|max| wanted > max);
    is_outside.then_some(FieldRule::Range { min, max })
}
