use super::*;

const fn output(
    max: Option<u64>,
    min: Option<u64>,
    window: Option<u64>,
    prompt: Option<u64>,
) -> TokenReading {
    TokenReading::Output(OutputBounds { max, min, window, prompt })
}

const fn at_most(max: u64) -> TokenReading {
    output(Some(max), None, None, None)
}

const fn beside(window: u64, prompt: u64) -> TokenReading {
    output(None, None, Some(window), Some(prompt))
}

#[test]
fn numbers_that_stand_for_themselves() {
    let cases: [(&str, &[f64]); 9] = [
        ("gpt-4 takes 32,768 tokens", &[32_768.0]),
        ("claude-3-5-sonnet-20241022: 32000 > 8192", &[32_000.0, 8192.0]),
        ("[1,819] or (1, 8192)", &[1.0, 819.0, 1.0, 8192.0]),
        ("0.5 and 2.", &[0.5, 2.0]),
        ("128k or 4k tokens, not 4kb", &[128_000.0, 4000.0]),
        ("messages[3].content at v1.2.3", &[3.0]),
        ("不能超过8192个", &[8192.0]),
        ("gpt-3.5-turbo, llama3.1:8b, 10/12", &[]),
        ("", &[]),
    ];
    for (text, want) in cases {
        let found: Vec<f64> = numbers(text).iter().map(|number| number.value).collect();
        assert_eq!(found, want, "{text}");
    }
}

/// Refusals of 32000 tokens, as providers word them.
const REFUSALS: [(&str, Option<TokenReading>); 34] = [
    (
        "max_tokens is not valid: integer above maximum value, expected a value <= 12288, but got 32000 instead.",
        Some(at_most(12_288)),
    ),
    (
        "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
        Some(at_most(16_384)),
    ),
    (
        "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022",
        Some(at_most(8192)),
    ),
    (
        "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model",
        Some(at_most(8192)),
    ),
    (
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        Some(output(Some(8192), None, None, None)),
    ),
    ("Range of max_tokens should be [1, 8192]", Some(at_most(8192))),
    (
        "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 16384]",
        Some(at_most(16_384)),
    ),
    (
        "Unable to submit request because it has a maxOutputTokens value of 32000 but the supported range is from 1 (inclusive) to 8193 (exclusive). Update the value and try again.",
        Some(at_most(8192)),
    ),
    (
        "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
        Some(at_most(4095)),
    ),
    (
        "too many tokens: max tokens must be less than or equal to 4096, the model's maximum output for this model - received 32000.",
        Some(at_most(4096)),
    ),
    ("max_tokens参数非法。取值范围：[1, 4095]", Some(at_most(4095))),
    ("max_tokens 不能超过 8192", Some(at_most(8192))),
    ("最大输出长度不能超过8192", Some(at_most(8192))),
    ("max_completion_tokens must be at most 16,384", Some(at_most(16_384))),
    ("max_new_tokens should be less than 4097", Some(at_most(4096))),
    (
        "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 4096, but got 32000 instead.",
        Some(at_most(4096)),
    ),
    ("maxOutputTokens must be between 1 and 8192", Some(at_most(8192))),
    ("max_tokens (32000) exceeds the limit of 8000 for this model", Some(at_most(8000))),
    ("Output tokens limit is 8k", Some(at_most(8000))),
    (
        "'max_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 9000 input tokens (32000 > 32768 - 9000).",
        Some(beside(32_768, 9000)),
    ),
    (
        "This model's maximum context length is 32768 tokens. However, you requested 41000 tokens (9000 in the messages, 32000 in the completion). Please reduce the length of the messages or completion.",
        Some(beside(32_768, 9000)),
    ),
    (
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 41500 tokens (9000 of text input, 500 of tool input, 32000 in the output). Please reduce the length of either one, or use the \"middle-out\" transform.",
        Some(beside(32_768, 9500)),
    ),
    (
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length or `max_tokens` and try again",
        Some(beside(200_000, 190_000)),
    ),
    (
        "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 512 `inputs` tokens and 32000 `max_new_tokens`",
        Some(beside(8193, 512)),
    ),
    (
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 34000 tokens: 2000 tokens from the input messages and 32000 tokens for the completion.",
        Some(beside(8192, 2000)),
    ),
    (
        "This model's maximum context length is 32768 tokens. However, you requested 32000 output tokens and your prompt contains at least 769 input tokens, for a total of at least 32769 tokens.",
        Some(beside(32_768, 769)),
    ),
    (
        "max_tokens of 32000 is larger than the context window of 8192",
        Some(output(None, None, Some(8192), None)),
    ),
    ("Requested 33000 tokens, but the context window is 32768 tokens", Some(beside(32_768, 1000))),
    (
        "This model's maximum context length is 32768 tokens. However, your request has 40000 input tokens. Please reduce the length of the input messages.",
        Some(TokenReading::Overflow),
    ),
    ("prompt is too long: 210000 tokens > 200000 maximum", Some(TokenReading::Overflow)),
    ("max_tokens is too large", None),
    ("temperature must be at most 2", None),
    ("Rate limit reached: tokens per minute (TPM): Limit 6000, Requested 9000", None),
    ("Invalid schema for tool 3", None),
];

#[test]
fn limits_on_answers_in_providers_words() {
    for (text, want) in REFUSALS {
        let got = read(&text.to_lowercase(), Some(32_000));
        let got = got.map(|reading| match reading {
            // The fewest is only of interest where it is asked for less.
            TokenReading::Output(bounds) => TokenReading::Output(OutputBounds { min: None, ..bounds }),
            TokenReading::Overflow => TokenReading::Overflow,
        });
        assert_eq!(got, want, "{text}");
    }
    let least = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.";
    assert_eq!(read(&least.to_lowercase(), Some(1)), Some(output(None, Some(16), None, None)));
    assert!(says_too_much("max_tokens is too large") && !says_too_much("max_tokens is not supported"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "[a-z_0-9 ,.\\[\\]()<>=+:;'`输入输出过长。-]{0,120}", noise in ".{0,200}", wanted in proptest::option::of(0u64..100_000)) {
        for text in [text, noise] {
            if let Some(TokenReading::Output(bounds)) = read(&text.to_lowercase(), wanted) {
                proptest::prop_assert!(bounds.max.is_none_or(|max| wanted.is_none_or(|wanted| max < wanted)));
                if let (Some(window), Some(prompt)) = (bounds.window, bounds.prompt) {
                    proptest::prop_assert!(prompt < window);
                }
            }
        }
    }
}
