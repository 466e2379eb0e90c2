//! What refusals teach by their words, whatever request they are about.

use super::*;

#[test]
fn refusals_in_providers_words_by_the_words_alone() {
    let all = all();
    let cases: [(u16, &str, Option<Limitation>); 25] = [
        (
            400,
            "Failed to deserialize: messages[1].content[0]: unknown variant `image_url`, expected `text`",
            Some(Limitation::NoImages),
        ),
        (404, "No endpoints found that support image input", Some(Limitation::NoImages)),
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            Some(Limitation::MaxCompletionTokens),
        ),
        (
            400,
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            Some(Limitation::ThoughtsWithCalls),
        ),
        (400, "property 'reasoning_content' is unsupported", Some(Limitation::NoThoughts)),
        (400, "Unknown name \"parallel_tool_calls\": Cannot find field.", Some(Limitation::NoParallelCalls)),
        (422, "tool_choice: Input should be 'auto'", Some(Limitation::AutoToolChoice)),
        (400, "Unrecognized request argument supplied: stream_options", Some(Limitation::NoStreamOptions)),
        (400, "This response_format type is unavailable now", Some(Limitation::NoJsonSchema)),
        (
            400,
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            Some(Limitation::NoSignatures),
        ),
        (
            400,
            "Function call is missing a thought_signature in functionCall parts.",
            Some(Limitation::NoSignatures),
        ),
        (
            400,
            "Function calling with a response mime type: 'application/json' is unsupported",
            Some(Limitation::NoJsonSchema),
        ),
        (400, "Function calling is not enabled for models/gemma-3", Some(Limitation::NoTools)),
        (400, "Penalty is not enabled for models/gemini-2.5-pro", Some(Limitation::NoSampling)),
        (400, "params.messages[0].content: expected string, received array", Some(Limitation::StringMode)),
        (400, "registry.ollama.ai/library/gemma does not support tools", Some(Limitation::NoTools)),
        (400, "Invalid value: 'custom'. Supported values are: 'function'", Some(Limitation::NoCustomTools)),
        (
            400,
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            Some(Limitation::NoSampling),
        ),
        (400, "reasoning_effort is not supported by this model", Some(Limitation::NoReasoning)),
        (400, "messages: Unexpected role \"system\".", Some(Limitation::NoOwnRequests)),
        (400, "output_config: Extra inputs are not permitted", Some(Limitation::NoOwnRequests)),
        (500, "Unknown name \"parallel_tool_calls\"", None),
        (429, "temperature too high, cool down", None),
        (401, "tool_choice", None),
        (400, "bad request", None),
    ];
    for (status, message, want) in cases {
        assert_eq!(learn(status, message, all), want, "{status} {message}");
    }
    let long = format!("invalid: {} tool_choice", "x".repeat(MAX_MESSAGE_LEN));
    assert_eq!(learn(400, &long, all), None, "it may quote the person");
    let plain = Features::default().and(Limitation::NoSampling);
    assert_eq!(learn(400, "tool_choice is wrong", plain), None, "the request had no tool_choice");
}
