//! Whether a refusal says that the prompt is longer than the model's window: by its codes, by what its numbers count, by known wordings,
//! and by a rule for the wordings of tomorrow. Pure.

use super::tokens::{self, TokenReading, has};
use super::words::RefusalWords;

/// Codes and types that say it alone, in lower case.
const CODES: [&str; 16] = [
    "context_length_exceeded",
    "context_window_exceeded",
    "model_context_window_exceeded",
    "exceed_context_size_error",
    "context_size_exceeded",
    "max_context_length_exceeded",
    "model_max_prompt_tokens_exceeded",
    "max_prompt_tokens_exceeded",
    "prompt_too_long",
    "input_too_long",
    "context_too_long",
    "tokens_limit_reached",
    // Z.ai, Mistral, Baidu (two), Spark.
    "1261",
    "3051",
    "336007",
    "10907",
];

/// Wordings that say it without a subject the rule would know, in lower case.
const WORDINGS: [&str; 12] = [
    "context_length_exceeded",
    "maximum context length",
    "context length exceeded",
    "reduce the length of the messages",
    "exceeds model's maximum",
    "token count exceeds",
    "tokens to keep from the initial prompt is greater than the context",
    "when context the overflows",
    "context overflow",
    "try using a shorter prompt",
    // MiniMax's 1039.
    "\"1039\"",
    "exceed_context",
];

/// What a refusal that is no overflow speaks of, in lower case: allowances, one text, one description, how many tools, pictures.
const OTHER_LIMITS: [&str; 33] = [
    "per minute",
    "per day",
    "per hour",
    "per second",
    "per-minute",
    "/min",
    "rate limit",
    "rate_limit",
    "ratelimit",
    "quota",
    "string too long",
    "string_above_max",
    "array too long",
    "array_above_max",
    "maximum length of",
    "with maximum length",
    "max length of the description",
    "description is too long",
    "name is too long",
    "title is too long",
    "too many tools",
    "too many functions",
    "number of tools",
    "number of functions",
    "too many images",
    "too many messages",
    "image",
    "pixels",
    "每分钟",
    "每天",
    "每秒",
    "限流",
    "描述",
];
/// Short names of allowances, as whole words.
const ALLOWANCES: [&str; 5] = ["tpm", "tpd", "rpm", "rpd", "itpm"];

const SUBJECT: [&str; 11] = [
    "prompt",
    "prompts",
    "input",
    "inputs",
    "request",
    "messages",
    "message",
    "context",
    "conversation",
    "history",
    "transcript",
];
const RELATION: [&str; 27] = [
    "too long",
    "too large",
    "too big",
    "too many",
    "exceed",
    "exceeds",
    "exceeded",
    "exceeding",
    "over",
    "above",
    "beyond",
    "at most",
    "longer than",
    "larger than",
    "greater than",
    "bigger than",
    "more than",
    "must have less than",
    "must be less than",
    "should be less than",
    "maximum",
    "limit",
    "does not fit",
    "doesn't fit",
    "overflow",
    "overflows",
    "range of",
];
const MEASURE: [&str; 15] = [
    "token",
    "tokens",
    "context window",
    "context length",
    "context size",
    "context limit",
    "context_length",
    "context_window",
    "n_ctx",
    "input length",
    "prompt length",
    "window",
    "max length",
    "maximum length",
    "max_length",
];

/// A language's words for what is too long, that it is, and by what it is measured; a text with one of each is an overflow.
const LANGUAGES: [(&[&str], &[&str], &[&str]); 7] = [
    (
        &["输入", "提示", "上下文", "请求", "对话", "消息", "会话", "历史", "prompt"],
        &["超过", "超出", "超长", "过长", "太长", "超限", "大于", "应在", "应为"],
        &["token", "长度", "上下文", "窗口", "长", "字数"],
    ),
    (
        &["輸入", "提示", "上下文", "請求", "對話"],
        &["超過", "超出", "過長", "太長"],
        &["token", "長度", "上下文", "視窗", "長"],
    ),
    (
        &["入力", "プロンプト", "コンテキスト", "リクエスト", "会話"],
        &["超え", "超過", "長すぎ", "オーバー"],
        &["トークン", "コンテキスト", "長", "token"],
    ),
    (
        &["입력", "프롬프트", "컨텍스트", "요청", "대화"],
        &["초과", "너무", "넘"],
        &["토큰", "컨텍스트", "길", "token"],
    ),
    (
        &["запрос", "ввод", "контекст", "промпт", "сообщени"],
        &["превыша", "слишком", "больше"],
        &["токен", "контекст", "длин", "token"],
    ),
    (
        &["eingabe", "anfrage", "kontext", "prompt", "nachricht"],
        &["überschreit", "zu lang", "zu groß", "übersteigt"],
        &["token", "kontext", "lang", "fenster"],
    ),
    (
        &["entrada", "contexto", "solicitud", "prompt", "entrée", "contexte", "requête", "invite", "mensaje"],
        &["excede", "supera", "demasiado larg", "dépasse", "trop long"],
        &["token", "contexto", "contexte", "jetons", "larg", "long"],
    ),
];

/// Statuses with which a history is never refused for its length: keys, payment, permission, addresses, allowances.
const OTHER_STATUSES: [u16; 6] = [401, 402, 403, 404, 408, 429];

/// Whether a refusal with this status says that the prompt does not fit.
pub(crate) fn is_overflow(status: u16, words: &RefusalWords) -> bool {
    if OTHER_STATUSES.contains(&status) {
        return false;
    }
    let lower = words.lower();
    if OTHER_LIMITS.iter().any(|limit| lower.contains(limit)) || has(&lower, &ALLOWANCES) {
        return false;
    }
    match tokens::read(&lower, None) {
        Some(TokenReading::Overflow) => return true,
        Some(TokenReading::Output(_)) => return false,
        None => {}
    }
    let by_code = words.codes.iter().any(|code| CODES.contains(&code.to_ascii_lowercase().as_str()));
    by_code || (says_so(&lower) && !is_about_output(words))
}

fn says_so(lower: &str) -> bool {
    if WORDINGS.iter().any(|wording| lower.contains(wording)) || is_too_long(lower) {
        return true;
    }
    let by_rule = has(lower, &SUBJECT) && has(lower, &RELATION) && has(lower, &MEASURE);
    let speaks_of_size = tokens::numbers(lower).iter().any(|number| number.value >= 100.0)
        || has(
            lower,
            &["window", "context", "n_ctx", "context_length", "context_window", "model", "token limit"],
        );
    (by_rule && speaks_of_size) || in_another_language(lower)
}

/// The subject and right behind it that it is too long: `prompt is too long`, `input too long for the model`.
fn is_too_long(lower: &str) -> bool {
    ["too long", "too many tokens"].iter().any(|relation| {
        lower.match_indices(relation).any(|(at, _)| {
            let before = lower.get(..at).unwrap_or_default().trim_end();
            let before = [" is", " are", " was", " length", " has", " have", " contains"]
                .iter()
                .fold(before, |text, verb| text.strip_suffix(verb).unwrap_or(text));
            let last = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            SUBJECT.contains(&last)
        })
    }) || lower.starts_with("too many tokens")
}

fn in_another_language(lower: &str) -> bool {
    !lower.is_ascii()
        && LANGUAGES.iter().any(|(subjects, relations, measures)| {
            [subjects, relations, measures].iter().all(|words| words.iter().any(|word| lower.contains(word)))
        })
}

/// Whether the refusal is about the answer that was asked for and not about the prompt: the field that it names is one of those.
fn is_about_output(words: &RefusalWords) -> bool {
    let param = words.param.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_name =
        ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxoutputtokens", "max_new_tokens"]
            .iter()
            .any(|name| param.ends_with(name));
    is_name
        || (tokens::says_too_much(&words.message.to_lowercase())
            && !has(&words.message.to_lowercase(), &SUBJECT))
}

#[cfg(test)]
mod tests;
