use bytes::Bytes;
use latimer_protocol::turn::StateOwner;
use serde_json::json;

use super::*;
use crate::prepared_request::EncodedRequest;

mod words_alone;

fn all() -> Features {
    Features::of(Limitation::all())
}

fn request(protocol: WireProtocol, body: &str) -> PreparedRequest {
    let encoded =
        EncodedRequest { body: body.as_bytes().to_vec(), features: all(), ..EncodedRequest::default() };
    encoded.prepare(protocol, "m1", StateOwner::new("lab", "m1"))
}

fn taught_by(body: &str, request: &PreparedRequest) -> Option<Teaching> {
    Teaching::of(FailureKind::BadRequest, Some(400), &RefusalWords::of(body), request)
}

fn said(text: &str) -> String {
    json!({ "error": { "message": text } }).to_string()
}

const CHAT: &str = r#"{"model":"m1","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:1"}}]},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:2"}}]}],"max_tokens":32000,"tools":[{"type":"function","function":{"name":"shell"}}],"reasoning_effort":"max","temperature":1.5,"tool_choice":"required","service_tier":"flex"}"#;

#[test]
fn the_whole_is_taught_by_wordings_about_the_whole_alone() {
    let whole = [
        ("registry.ollama.ai/library/gemma does not support tools", Limitation::NoTools),
        (
            "No endpoints found that support tool use. To learn more about provider routing, visit: https://openrouter.ai/docs",
            Limitation::NoTools,
        ),
        ("Function calling is not enabled for models/gemma-3", Limitation::NoTools),
        ("`tools` is not supported by this model", Limitation::NoTools),
        ("Model 'deepseek-r1' does not support tools", Limitation::NoTools),
        ("该模型不支持工具调用", Limitation::NoTools),
        ("No endpoints found that support image input", Limitation::NoImages),
        ("This model does not support image input", Limitation::NoImages),
        ("claude-2 does not support image inputs", Limitation::NoImages),
        ("Invalid content type. image_url is only supported by certain models.", Limitation::NoImages),
        ("the model is text-only and cannot process images", Limitation::NoImages),
        ("该模型不支持图片输入", Limitation::NoImages),
        (
            "Failed to deserialize: messages[1].content[0]: unknown variant `image_url`, expected `text`",
            Limitation::NoImages,
        ),
    ];
    let request = request(WireProtocol::Chat, CHAT);
    for (text, want) in whole {
        assert_eq!(taught_by(&said(text), &request), Some(Teaching::Whole(want)), "{text}");
    }
}

#[test]
fn one_tool_or_schema_takes_no_tools_away() {
    let texts = [
        "tools.0.custom.input_schema: does not support oneOf, allOf, or anyOf at the top level",
        "Invalid schema for function 'desk_app__plan_update': schema must have type 'object' and not have 'oneOf' at the top level",
        "tools[3].function.parameters: $ref with siblings is not supported",
        "tool 'plan_update' is not supported",
        "The tool description is not supported: too long",
        "Tool names with dots are not supported: mcp.read",
        "Unsupported tool schema: property day",
        "This model supports at most 20 tools",
        "Tools are provisioned for another region",
        "schema of tool desk is not supported",
        "At most 128 tools are supported, 140 were given: the model does not support more tools",
        "GenerateContentRequest.tools[0].function_declarations[2].parameters.properties[day].enum: not supported",
    ];
    let request = request(WireProtocol::Chat, CHAT);
    for text in texts {
        let taught = taught_by(&said(text), &request);
        let takes = matches!(
            taught,
            Some(Teaching::Whole(Limitation::NoTools) | Teaching::ThisTurn(Limitation::NoTools))
        );
        assert!(!takes, "{text}: {taught:?}");
    }
    let by_param =
        json!({ "error": { "message": "This is not supported.", "param": "tools[0].function.parameters" } });
    assert!(!matches!(taught_by(&by_param.to_string(), &request), Some(Teaching::Whole(_))));
}

#[test]
fn one_picture_takes_no_pictures_away() {
    let texts = [
        ("messages.0.content.1.image_url: image exceeds 5 MB maximum: 6291456 bytes", Pictures::Nth(0)),
        ("messages[1].content[0]: Invalid base64 image_url", Pictures::Nth(1)),
        (
            "messages.1.content.0.image.source.base64.data: At least one of the image dimensions exceed max allowed size: 8000 pixels",
            Pictures::Nth(1),
        ),
        ("messages.1: image could not be processed", Pictures::Nth(1)),
        ("Invalid PNG image", Pictures::All),
        ("Could not process image", Pictures::All),
        ("Image size 9000x9000 is not supported", Pictures::All),
        (
            "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].",
            Pictures::All,
        ),
        ("The image data you provided does not represent a valid image", Pictures::All),
        ("图片格式错误", Pictures::All),
        ("Das Bild ist beschädigt", Pictures::All),
        ("הבקשה נדחתה", Pictures::All),
        ("Request contains an invalid argument.", Pictures::All),
        ("this model does not support more than 4 images", Pictures::All),
        ("image URLs are not supported", Pictures::All),
    ];
    let request = request(WireProtocol::Chat, CHAT);
    for (text, want) in texts {
        assert_eq!(taught_by(&said(text), &request), Some(Teaching::Pictures(want)), "{text}");
    }
    for text in ["This image violates our usage policy", "输入内容包含敏感信息", "tools must be a list"]
    {
        let taught = taught_by(&said(text), &request);
        assert!(!matches!(taught, Some(Teaching::Pictures(_))), "{text}: {taught:?}");
    }
    let blind = PreparedRequest {
        body: Bytes::from_static(b"{\"messages\":[]}"),
        features: Features::default(),
        ..request
    };
    assert_eq!(taught_by(&said("Invalid PNG image"), &blind), None, "there is no picture");
}

#[test]
fn what_is_about_one_thing_holds_for_this_turn() {
    let chat = request(WireProtocol::Chat, CHAT);
    let passed = PreparedRequest { features: Features::default(), ..chat.clone() }.as_passthrough();
    assert_eq!(
        taught_by(&said("messages.1.content.0: Invalid `signature` in `thinking` block"), &chat),
        Some(Teaching::ThisTurn(Limitation::NoSignatures))
    );
    assert_eq!(
        taught_by(&said("tools.0.input_schema: does not support oneOf at the top level"), &passed),
        Some(Teaching::Translate)
    );
    assert_eq!(taught_by(&said("tools.0.input_schema: oneOf"), &chat), None, "there is nothing to try");
}

#[test]
fn parts_of_words_teach_nothing() {
    let request = request(WireProtocol::Chat, r#"{"messages":[],"image_url":1}"#);
    for text in
        ["the provisioned model is restricted", "supervision is required", "reasonings", "untools supports"]
    {
        let taught = taught_by(&said(text), &request);
        assert!(!matches!(taught, Some(Teaching::Whole(_))), "{text}: {taught:?}");
    }
}

fn taught_field(body: &str, protocol: WireProtocol, sent: &str) -> Option<(String, FieldRule)> {
    match taught_by(body, &request(protocol, sent))? {
        Teaching::Field { path, rule } => Some((path, rule)),
        _ => None,
    }
}

#[test]
fn values_that_a_refusal_lists() {
    let of = |values: &[&str]| FieldRule::OneOf(values.iter().map(|value| (*value).to_owned()).collect());
    let responses = r#"{"model":"m1","input":"x","reasoning":{"effort":"max"},"text":{"verbosity":"low"},"service_tier":"priority"}"#;
    let param = |message: &str, param: &str| {
        json!({ "error": { "message": message, "param": param, "code": "unsupported_value" } }).to_string()
    };
    let cases = [
        (
            param(
                "Unsupported value: 'max'. Supported values are: 'minimal', 'low', 'medium', 'high', and 'xhigh'.",
                "reasoning.effort",
            ),
            WireProtocol::Responses,
            responses,
            "reasoning.effort",
            of(&["minimal", "low", "medium", "high", "xhigh"]),
        ),
        (
            said(
                "Unsupported value: 'max' is not supported with this model. Supported values are: 'low', 'medium', and 'high'.",
            ),
            WireProtocol::Responses,
            responses,
            "reasoning.effort",
            of(&["low", "medium", "high"]),
        ),
        (
            param("Unsupported value: 'low'. Supported values are: 'medium'.", "text.verbosity"),
            WireProtocol::Responses,
            responses,
            "text.verbosity",
            of(&["medium"]),
        ),
        (
            said("Invalid value: 'priority'. Supported values are: 'auto', 'default', and 'flex'."),
            WireProtocol::Responses,
            responses,
            "service_tier",
            of(&["auto", "default", "flex"]),
        ),
        (
            said("reasoning_effort: Input should be 'low', 'medium' or 'high'"),
            WireProtocol::Chat,
            CHAT,
            "reasoning_effort",
            of(&["low", "medium", "high"]),
        ),
        (
            said("unknown variant `max`, expected one of `none`, `low`, `high`"),
            WireProtocol::Chat,
            CHAT,
            "reasoning_effort",
            of(&["none", "low", "high"]),
        ),
        (
            said("`reasoning_effort` must be one of low, medium, high"),
            WireProtocol::Chat,
            CHAT,
            "reasoning_effort",
            of(&["low", "medium", "high"]),
        ),
        (
            said("reasoning_effort must be one of [low, medium, high]. Got max"),
            WireProtocol::Chat,
            CHAT,
            "reasoning_effort",
            of(&["low", "medium", "high"]),
        ),
    ];
    for (body, protocol, sent, path, rule) in cases {
        assert_eq!(taught_field(&body, protocol, sent), Some((path.to_owned(), rule)), "{body}");
    }
}

#[test]
fn values_in_the_words_of_other_servers() {
    let of = |values: &[&str]| FieldRule::OneOf(values.iter().map(|value| (*value).to_owned()).collect());
    let param = |message: &str, param: &str| {
        json!({ "error": { "message": message, "param": param, "code": "unsupported_value" } }).to_string()
    };
    let cases = [
        (
            said("reasoning_effort 参数错误，可选值：low、medium、high"),
            WireProtocol::Chat,
            CHAT,
            "reasoning_effort",
            of(&["low", "medium", "high"]),
        ),
        (
            r#"{"detail":[{"loc":["body","tool_choice"],"msg":"Input should be 'none' or 'auto'"}]}"#
                .to_owned(),
            WireProtocol::Chat,
            CHAT,
            "tool_choice",
            of(&["none", "auto"]),
        ),
        (
            said("thinking.type: Input should be 'enabled' or 'disabled'"),
            WireProtocol::Messages,
            r#"{"max_tokens":9,"thinking":{"type":"adaptive"}}"#,
            "thinking.type",
            of(&["enabled", "disabled"]),
        ),
        (
            said("output_config.effort: Input should be 'low', 'medium' or 'high'"),
            WireProtocol::Messages,
            r#"{"max_tokens":9,"output_config":{"effort":"max"}}"#,
            "output_config.effort",
            of(&["low", "medium", "high"]),
        ),
        (
            said("Invalid thinkingLevel: supported values are LOW, HIGH"),
            WireProtocol::Gemini,
            r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"minimal"}}}"#,
            "generationConfig.thinkingConfig.thinkingLevel",
            of(&["LOW", "HIGH"]),
        ),
        (
            param(
                "Invalid 'temperature': decimal above maximum value. Expected a value <= 1, but got 1.5 instead.",
                "temperature",
            ),
            WireProtocol::Chat,
            CHAT,
            "temperature",
            FieldRule::Range { min: None, max: Some(1.0) },
        ),
        (
            said("temperature must be between 0 and 1"),
            WireProtocol::Chat,
            CHAT,
            "temperature",
            FieldRule::Range { min: Some(0.0), max: Some(1.0) },
        ),
        (
            said("temperature: range is [0.0, 1.0]"),
            WireProtocol::Chat,
            CHAT,
            "temperature",
            FieldRule::Range { min: Some(0.0), max: Some(1.0) },
        ),
    ];
    for (body, protocol, sent, path, rule) in cases {
        assert_eq!(taught_field(&body, protocol, sent), Some((path.to_owned(), rule)), "{body}");
    }
}

#[test]
fn a_field_is_left_out_only_where_nothing_is_listed() {
    let param =
        |message: &str, param: &str| json!({ "error": { "message": message, "param": param } }).to_string();
    let sent = r#"{"model":"m1","messages":[],"service_tier":"flex","top_k":3,"tools":[]}"#;
    let absent = |path: &str| Some((path.to_owned(), FieldRule::Absent));
    let plain = PreparedRequest { features: Features::default(), ..request(WireProtocol::Chat, sent) };
    let field = |body: &str| match taught_by(body, &plain)? {
        Teaching::Field { path, rule } => Some((path, rule)),
        _ => None,
    };
    assert_eq!(field(&param("Unsupported parameter", "service_tier")), absent("service_tier"));
    assert_eq!(field(&said("Unrecognized request argument supplied: top_k")), absent("top_k"));
    assert_eq!(field(&said("Unknown name \"service_tier\": Cannot find field.")), absent("service_tier"));
    for needed in ["model", "messages", "tools"] {
        assert_eq!(field(&param("Unsupported parameter", needed)), None, "{needed}");
    }
    let by_table =
        taught_by(&param("Unsupported parameter", "reasoning_effort"), &request(WireProtocol::Chat, CHAT));
    assert_eq!(
        by_table,
        Some(Teaching::Whole(Limitation::NoReasoning)),
        "the field's name belongs to the words"
    );
    let sampling = said(
        "Unsupported value: 'temperature' does not support 1.5 with this model. Only the default (1) value is supported.",
    );
    assert_eq!(
        taught_by(&sampling, &request(WireProtocol::Chat, CHAT)),
        Some(Teaching::Whole(Limitation::NoSampling))
    );
}

#[test]
fn the_length_of_answers() {
    let taught = |protocol, sent: &str, text: &str| match taught_by(&said(text), &request(protocol, sent)) {
        Some(Teaching::Output(lesson)) => Some((lesson.now, lesson.rules())),
        other => panic!("{text}: {other:?}"),
    };
    let at_most = "max_tokens is not valid: integer above maximum value, expected a value <= 12288, but got 32000 instead.";
    assert_eq!(
        taught(WireProtocol::Chat, CHAT, at_most),
        Some((Some(12_288), vec![(MAX_OUTPUT, FieldRule::at_most(12_288))]))
    );
    let window = "'max_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 9000 input tokens (32000 > 32768 - 9000).";
    assert_eq!(
        taught(WireProtocol::Chat, CHAT, window),
        Some((Some(23_768), vec![(CONTEXT_WINDOW, FieldRule::at_most(32_768))])),
        "what is remembered is true of later turns"
    );
    assert_eq!(taught(WireProtocol::Chat, CHAT, "max_tokens is too large"), Some((None, Vec::new())));
    let least = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.";
    assert_eq!(
        taught(WireProtocol::Responses, r#"{"max_output_tokens":1}"#, least),
        Some((Some(16), vec![(MAX_OUTPUT, FieldRule::between(Some(16), None))]))
    );
    let name = said(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    );
    assert_eq!(
        taught_by(&name, &request(WireProtocol::Chat, CHAT)),
        Some(Teaching::Whole(Limitation::MaxCompletionTokens))
    );
    let overflow = said("prompt is too long: 210000 tokens > 200000 maximum");
    assert_eq!(taught_by(&overflow, &request(WireProtocol::Chat, CHAT)), None);
}

#[test]
fn allowances_keys_and_long_texts_teach_nothing() {
    let chat = request(WireProtocol::Chat, CHAT);
    for status in [401, 402, 403, 429, 500, 503] {
        let words = RefusalWords::of(&said("this model does not support tools"));
        assert_eq!(Teaching::of(FailureKind::BadRequest, Some(status), &words, &chat), None, "{status}");
        assert_eq!(Teaching::of(FailureKind::RateLimited, Some(400), &words, &chat), None);
    }
    let long = format!("this model does not support tools {}", "x".repeat(MAX_MESSAGE_LEN));
    assert_eq!(taught_by(&said(&long), &chat), None, "it may quote the person");
    let redacted = format!("this model does not support tools bearer {}", "x".repeat(MAX_MESSAGE_LEN));
    assert_eq!(taught_by(&said(&redacted), &chat), None, "also where it is short once it was cleaned");
}

proptest::proptest! {
    #[test]
    fn any_refusal_is_looked_at(body in "[\\[\\]{}:,\"a-z0-9 '`._<>=]{0,160}", text in ".{0,300}", tail in "[a-z]{600,700}") {
        let chat = request(WireProtocol::Chat, CHAT);
        for body in [body, said(&text)] {
            let _ = taught_by(&body, &chat);
        }
        proptest::prop_assert_eq!(taught_by(&said(&format!("does not support tools {tail}")), &chat), None);
    }
}
