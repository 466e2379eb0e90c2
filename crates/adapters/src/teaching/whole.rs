//! What an endpoint cannot do at all, by a table of wordings in whole words, and whether a refusal is only about one thing.

use super::{MAX_MESSAGE_LEN, Refusal, Teaching};
use crate::errors::has_word;
use crate::errors::tokens::numbers;
use crate::limitation::{Features, Limitation};

/// A wording in lower case and what it teaches: all words of a row must be there, as whole words. The first row that fits a feature of
/// the request wins.
const WORDINGS: [(&[&str], Limitation); 56] = [
    (&["expected string", "received array"], Limitation::StringMode),
    (&["must be passed back"], Limitation::ThoughtsWithCalls),
    (&["reasoning_content", "is missing"], Limitation::ThoughtsWithCalls),
    (&["missing reasoning_content"], Limitation::ThoughtsWithCalls),
    (&["invalid", "signature", "thinking"], Limitation::NoSignatures),
    (&["thought_signature"], Limitation::NoSignatures),
    (&["thought signature"], Limitation::NoSignatures),
    (&["encrypted content"], Limitation::NoThoughts),
    (&["encrypted_content"], Limitation::NoThoughts),
    (&["reasoning_content"], Limitation::NoThoughts),
    (&["reasoning_details"], Limitation::NoThoughts),
    (&["'reasoning' is unsupported"], Limitation::NoThoughts),
    (&["content", "must be a string"], Limitation::TextContent),
    (&["content", "expected a string"], Limitation::TextContent),
    (&["content", "should be a valid string"], Limitation::TextContent),
    (&["custom", "tool"], Limitation::NoCustomTools),
    (&["custom", "tools"], Limitation::NoCustomTools),
    (&["'custom'"], Limitation::NoCustomTools),
    (&["\"custom\""], Limitation::NoCustomTools),
    (&["`custom`"], Limitation::NoCustomTools),
    (&["namespace"], Limitation::NoNamespaces),
    (&["namespaces"], Limitation::NoNamespaces),
    (&["web_search"], Limitation::NoHostedTools),
    (&["image_generation"], Limitation::NoHostedTools),
    (&["tool_search"], Limitation::NoHostedTools),
    (&["local_shell"], Limitation::NoHostedTools),
    (&["parallel_tool_calls"], Limitation::NoParallelCalls),
    (&["tool_choice"], Limitation::AutoToolChoice),
    (&["stream_options"], Limitation::NoStreamOptions),
    (&["max_completion_tokens", "instead"], Limitation::MaxCompletionTokens),
    (&["max_tokens", "unsupported"], Limitation::MaxCompletionTokens),
    (&["max_tokens", "not supported"], Limitation::MaxCompletionTokens),
    (&["max_output_tokens"], Limitation::NoTokenLimit),
    (&["response_format"], Limitation::NoJsonSchema),
    (&["json_schema"], Limitation::NoJsonSchema),
    (&["response mime type"], Limitation::NoJsonSchema),
    (&["responsejsonschema"], Limitation::NoJsonSchema),
    (&["prompt_cache_key"], Limitation::NoCacheKey),
    (&["prompt_cache"], Limitation::NoCacheKey),
    (&["cache_control"], Limitation::NoCacheKey),
    (&["strict"], Limitation::NoStrict),
    (&["reasoning"], Limitation::NoReasoning),
    (&["thinking"], Limitation::NoReasoning),
    (&["chat_template"], Limitation::NoReasoning),
    (&["temperature"], Limitation::NoSampling),
    (&["top_p"], Limitation::NoSampling),
    (&["penalty"], Limitation::NoSampling),
    (&["developer", "role"], Limitation::SystemRole),
    (&["extra inputs"], Limitation::NoOwnRequests),
    (&["unexpected role"], Limitation::NoOwnRequests),
    (&["role", "system"], Limitation::NoOwnRequests),
    (&["anthropic-beta"], Limitation::NoOwnRequests),
    (&["context_management"], Limitation::NoOwnRequests),
    (&["output_config"], Limitation::NoOwnRequests),
    (&["thinking"], Limitation::NoOwnRequests),
    (&["unknown", "field"], Limitation::NoOwnRequests),
];

/// What stands for pictures as a whole.
const PICTURES: [&str; 16] = [
    "image",
    "images",
    "image_url",
    "input_image",
    "inline_data",
    "vision",
    "visual",
    "picture",
    "pictures",
    "multimodal",
    "multi-modal",
    "图片",
    "图像",
    "视觉",
    "多模态",
    "画像",
];
/// What stands for tools as a whole.
const TOOLS: [&str; 14] = [
    "tools",
    "tool",
    "tool use",
    "tool_use",
    "tool calling",
    "tool calls",
    "tool_calls",
    "function calling",
    "function calls",
    "functions",
    "function call",
    "工具",
    "函数调用",
    "ツール",
];
/// What says that it is not there.
const LACKS: [&str; 34] = [
    "does not support",
    "doesn't support",
    "do not support",
    "don't support",
    "did not support",
    "not supported",
    "unsupported",
    "not support",
    "no support",
    "without support",
    "found that support",
    "not available",
    "not enabled",
    "is disabled",
    "not allowed",
    "not permitted",
    "cannot see",
    "can't see",
    "cannot process",
    "can not process",
    "cannot read",
    "cannot handle",
    "unable to process",
    "unable to handle",
    "cannot use",
    "only supports text",
    "only support text",
    "text only",
    "text-only",
    "only supported by certain models",
    "not a vision",
    "不支持",
    "無法",
    "サポートされていません",
];
/// Words of a refusal that is about the form of a picture and not about pictures.
const FORMS: [&str; 28] = [
    "format",
    "formats",
    "media type",
    "media_type",
    "mime",
    "mimetype",
    "mime type",
    "png",
    "jpeg",
    "jpg",
    "gif",
    "webp",
    "svg",
    "heic",
    "bmp",
    "tiff",
    "animated",
    "image url",
    "urls",
    "base64",
    "data uri",
    "decode",
    "corrupt",
    "corrupted",
    "broken",
    "truncated",
    "size",
    "dimensions",
];
/// Words of a refusal that is about the form of a tool.
const SCHEMAS: [&str; 22] = [
    "schema",
    "schemas",
    "input_schema",
    "parameters",
    "properties",
    "property",
    "oneof",
    "anyof",
    "allof",
    "$ref",
    "$defs",
    "enum",
    "description",
    "descriptions",
    "required",
    "argument",
    "arguments",
    "name",
    "names",
    "title",
    "pattern",
    "additionalproperties",
];
/// Units, and words for how large one thing is.
const SIZES: [&str; 20] = [
    "mb",
    "kb",
    "gb",
    "mib",
    "kib",
    "bytes",
    "pixel",
    "pixels",
    "px",
    "megabytes",
    "kilobytes",
    "megapixels",
    "width",
    "height",
    "像素",
    "字节",
    "size",
    "sizes",
    "dimensions",
    "resolution",
];
/// Fields below which a path leads to one thing.
const STEPS: [&str; 16] = [
    "tools",
    "messages",
    "input",
    "contents",
    "content",
    "function",
    "functions",
    "parts",
    "parameters",
    "input_schema",
    "image_url",
    "source",
    "properties",
    "functiondeclarations",
    "function_declarations",
    "item",
];
/// Names that stand in quotation marks without being the name of one thing.
const GENERAL_NAMES: [&str; 24] = [
    "tools",
    "tool",
    "functions",
    "function",
    "tool_use",
    "tool_calls",
    "function_call",
    "tool_call",
    "image",
    "images",
    "image_url",
    "input_image",
    "inline_data",
    "vision",
    "text",
    "auto",
    "model",
    "content",
    "messages",
    "input",
    "invalid_request_error",
    "unsupported_parameter",
    "unsupported_value",
    "not_found",
];

/// What of a request's limitations a refusal teaches, and for how long.
pub(super) fn of(refusal: &Refusal<'_>) -> Option<Teaching> {
    let about_one = is_about_one_thing(refusal);
    let limitation = find(&refusal.lower, &refusal.request.model, refusal.features(), about_one)?;
    let once = about_one && takes_content(limitation) && !knows_text_alone(&refusal.lower)
        || limitation == Limitation::NoJsonSchema && has_word(&refusal.lower, &["invalid schema"])
        || limitation == Limitation::NoThoughts
            && has_word(&refusal.lower, &["encrypted content", "encrypted_content"]);
    Some(if once { Teaching::ThisTurn(limitation) } else { Teaching::Whole(limitation) })
}

/// What a refusal teaches about a request with these features, by its words alone.
pub fn learn(status: u16, message: &str, features: Features) -> Option<Limitation> {
    if !matches!(status, 400 | 404 | 415 | 422 | 501) || message.len() > MAX_MESSAGE_LEN {
        return None;
    }
    let lower = message.to_lowercase();
    find(&lower, "", features, names_one_thing(&lower, ""))
}

fn find(lower: &str, model: &str, features: Features, about_one: bool) -> Option<Limitation> {
    let is_schema = has_word(lower, &SCHEMAS);
    let fits = |words: &[&str], limitation: Limitation| {
        features.has(limitation)
            && !(is_schema && is_kind_of_tool(limitation))
            && words.iter().all(|word| has_word(lower, &[word]))
    };
    if features.has(Limitation::NoImages) && lacks_pictures(lower, model, about_one) {
        return Some(Limitation::NoImages);
    }
    if features.has(Limitation::NoTools) && lacks_tools(lower, model, about_one) {
        return Some(Limitation::NoTools);
    }
    let by_table = WORDINGS
        .iter()
        .find(|(words, limitation)| fits(words, *limitation))
        .map(|(_, limitation)| *limitation);
    // A server that lacks something is asked in the words of every server.
    let lacks = || {
        features.has(Limitation::NoOwnRequests)
            && !about_one
            && !has_word(lower, &PICTURES)
            && has_word(lower, &["not supported", "tools"])
    };
    by_table.or_else(|| lacks().then_some(Limitation::NoOwnRequests))
}

/// Kinds of tools and their switches, of which a schema's words say nothing.
fn is_kind_of_tool(limitation: Limitation) -> bool {
    matches!(
        limitation,
        Limitation::NoCustomTools
            | Limitation::NoNamespaces
            | Limitation::NoHostedTools
            | Limitation::NoOwnRequests
    )
}

/// Without it something of the conversation would be missing.
fn takes_content(limitation: Limitation) -> bool {
    matches!(
        limitation,
        Limitation::NoImages
            | Limitation::NoTools
            | Limitation::NoSignatures
            | Limitation::NoJsonSchema
            | Limitation::NoOwnRequests
    )
}

fn lacks_pictures(lower: &str, model: &str, about_one: bool) -> bool {
    if knows_text_alone(lower) {
        return true;
    }
    !about_one
        && is_near(lower, &PICTURES)
        && !has_word(lower, &FORMS)
        && !has_word(lower, &["tools", "tool_choice"])
        && !quotes_a_name(lower, model)
}

/// DeepSeek's parser lists the kinds of parts it knows, and a picture is none of them: that is about the whole, whichever part it met.
fn knows_text_alone(lower: &str) -> bool {
    lower.contains("unknown variant `image_url`") && lower.contains("expected `text`")
}

fn lacks_tools(lower: &str, model: &str, about_one: bool) -> bool {
    let is_switch =
        has_word(lower, &["tool_choice", "parallel_tool_calls", "strict", "custom", "namespace", "type"])
            || has_word(lower, &["streaming", "response mime type", "response_format", "json mode"]);
    !about_one
        && is_near(lower, &TOOLS)
        && !is_switch
        && !has_word(lower, &SCHEMAS)
        && !quotes_a_name(lower, model)
}

/// Whether a word of these and one that says that it lacks stand in one sentence.
fn is_near(lower: &str, words: &[&str]) -> bool {
    lower.split(['\n', '。', '!']).flat_map(|part| part.split(". ")).any(|sentence| {
        (has_word(sentence, words) && has_word(sentence, &LACKS))
            // A field that is not known at all.
            || sentence.contains("unsupported parameter") && has_word(sentence, &["tools", "functions"])
    })
}

/// Whether a refusal is about one thing of the request: its path or index is named, or a size, or a name.
pub(super) fn is_about_one_thing(refusal: &Refusal<'_>) -> bool {
    names_one_thing(&refusal.lower, refusal.param())
}

fn names_one_thing(lower: &str, param: &str) -> bool {
    let param = param.to_ascii_lowercase();
    has_index(lower)
        || has_index(&param)
        || is_path(&param)
        || has_path(lower)
        || has_word(lower, &SIZES)
        || numbers(lower).iter().any(|number| !is_status(number.value))
}

/// Statuses stand in the words of many a gateway.
fn is_status(number: f64) -> bool {
    (400.0..600.0).contains(&number)
}

/// `tools[0]`, `messages.3.content`, `input/2/`.
fn has_index(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |at: usize| bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
    let is_step = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        let word = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        STEPS.contains(&word) || word.is_empty() && before.ends_with(']')
    };
    bytes.iter().enumerate().any(|(at, byte)| {
        let count = digits(at + 1);
        let next = bytes.get(at + 1 + count);
        match byte {
            b'[' => count > 0 && next == Some(&b']'),
            b'.' | b'/' => count > 0 && !next.is_some_and(u8::is_ascii_alphanumeric) && is_step(at),
            _ => false,
        }
    }) || has_word(text, &["at index", "index"])
}

/// A path of at least two steps below a field of the request.
fn has_path(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | ',' | '(' | ')' | ':'))
        .any(is_path)
}

fn is_path(word: &str) -> bool {
    let mut steps = word.trim_matches('.').split('.');
    let first = steps.next().unwrap_or_default();
    let first = first.split('[').next().unwrap_or_default();
    STEPS.contains(&first) && steps.next().is_some_and(|step| !step.is_empty())
}

/// Whether something stands in quotation marks that is the name of one thing: no name of the protocol, and not the model.
fn quotes_a_name(lower: &str, model: &str) -> bool {
    let model = model.to_lowercase();
    ['\'', '"', '`'].iter().any(|quote| {
        let parts: Vec<&str> = lower.split(*quote).collect();
        // An apostrophe opens nothing.
        let is_word = |text: &str| {
            !text.is_empty()
                && text.len() < 80
                && !text.contains(' ')
                && text.chars().any(char::is_alphabetic)
        };
        let pairs = parts.iter().enumerate().skip(1).step_by(2).take(parts.len().saturating_sub(1) / 2 + 1);
        pairs.filter(|(at, text)| is_word(text) && at + 1 < parts.len()).any(|(at, text)| {
            let before = parts.get(at - 1).copied().unwrap_or_default().trim_end();
            let is_model = before.ends_with("model")
                || before.ends_with("models")
                || model.contains(text)
                || text.contains(model.as_str()) && !model.is_empty();
            !is_model && !GENERAL_NAMES.contains(text)
        })
    })
}
