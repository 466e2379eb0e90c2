use super::*;

fn overflows(status: u16, body: &str) -> bool {
    is_overflow(status, &RefusalWords::of(body))
}

fn said(text: &str) -> String {
    serde_json::json!({ "error": { "message": text } }).to_string()
}

/// Provider, status, body or bare message: what their APIs answer to a history that is too long.
const OVERFLOWS: [(&str, u16, &str); 58] = [
    (
        "OpenAI",
        400,
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        "OpenAI Responses",
        400,
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    ("OpenAI by its code", 400, r#"{"error":{"message":"Sorry.","code":"context_length_exceeded"}}"#),
    ("Anthropic", 400, "prompt is too long: 210000 tokens > 200000 maximum"),
    ("Anthropic on 413", 413, "Prompt is too long"),
    (
        "Anthropic with an answer",
        400,
        "input length and `max_tokens` exceed context limit: 210000 + 8192 > 200000, decrease input length or `max_tokens` and try again",
    ),
    (
        "Gemini",
        400,
        "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    ("Gemini, older", 400, "The input token count exceeds the maximum number of tokens allowed 1048576."),
    (
        "Vertex",
        400,
        "Unable to submit request because the input token count is 2000000 but model only supports up to 1048576. Reduce the input token count and try again.",
    ),
    (
        "Groq",
        400,
        r#"{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        "Mistral",
        400,
        r#"{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_error","param":null,"code":"3051"}"#,
    ),
    (
        "Cohere",
        400,
        r#"{"message":"too many tokens: the total number of tokens in the prompt exceeds the limit of 4081 (received 9000). Try using a shorter prompt."}"#,
    ),
    (
        "Together",
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and 512 `max_new_tokens`",
    ),
    ("Fireworks", 400, "The prompt is too long: 9000, model maximum context length: 8191"),
    (
        "vLLM",
        400,
        "This model's maximum context length is 32768 tokens. However, your request has 40000 input tokens. Please reduce the length of the input messages.",
    ),
    (
        "vLLM, older",
        400,
        "This model's maximum context length is 4096 tokens. However, you requested 5120 tokens (4608 in the messages, 512 in the completion). Please reduce the length of the messages or completion.",
    ),
    ("SGLang", 400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
    (
        "SGLang, its other one",
        400,
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 10000 tokens: 9500 tokens from the input messages and 500 tokens for the completion.",
    ),
    (
        "llama.cpp",
        400,
        r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":8192}}"#,
    ),
    (
        "llama.cpp with numbers",
        500,
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
    ),
    ("Ollama", 400, "input length exceeds maximum context length"),
    ("Ollama Cloud", 400, "prompt too long; exceeded max context length by 4 tokens"),
    (
        "LM Studio",
        400,
        "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input",
    ),
    (
        "LM Studio, older",
        400,
        "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
    ),
    (
        "TGI",
        422,
        r#"{"error":"Input validation error: `inputs` must have less than 4095 tokens. Given: 5000","error_type":"validation"}"#,
    ),
    (
        "DeepSeek",
        400,
        "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (69000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
    ),
    ("Moonshot", 400, "Invalid request: Your request exceeded model token limit: 262144"),
    (
        "Moonshot, newer",
        400,
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 270000)",
    ),
    ("Zhipu", 400, r#"{"error":{"code":"1261","message":"Prompt 超长"}}"#),
    ("Zhipu in English", 400, "Prompt exceeds max length of the model"),
    ("MiniMax", 400, "invalid params, context window exceeds limit (2013)"),
    (
        "MiniMax with 200",
        502,
        r#"{"base_resp":{"status_code":1039,"status_msg":"tokens exceed the limit of the prompt"}}"#,
    ),
    (
        "DashScope",
        400,
        r#"{"code":"InvalidParameter","message":"Range of input length should be [1, 30720]"}"#,
    ),
    (
        "DashScope, newer",
        400,
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
    ),
    (
        "OpenRouter",
        400,
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 41000 tokens (40000 of text input, 1000 in the output). Please reduce the length of either one, or use the \"middle-out\" transform to compress your prompt automatically.",
    ),
    (
        "OpenRouter, inner",
        400,
        r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}"}}}"#,
    ),
    ("Bedrock", 400, "Input is too long for requested model."),
    (
        "Bedrock Converse",
        400,
        "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
    ),
    ("xAI", 400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    (
        "Cerebras",
        400,
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    ),
    (
        "Azure GitHub models",
        413,
        r#"{"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4o model. Max size: 8000 tokens."}}"#,
    ),
    (
        "Copilot",
        400,
        r#"{"error":{"message":"prompt token count of 130000 exceeds the limit of 128000","code":"model_max_prompt_tokens_exceeded"}}"#,
    ),
    ("DeepInfra", 500, "The prompt has 9000 tokens, which is over the context window of 8192"),
    (
        "SambaNova",
        400,
        "The maximum context length of Llama is 8192. However, answering your request will take 9000 tokens.",
    ),
    ("Perplexity", 400, "The conversation is too long: 140000 tokens, at most 127072 are allowed"),
    ("Databricks", 400, "Prompt length 9000 is larger than the context limit 8192"),
    ("AI21", 422, "The input is above the limit of 256000 tokens"),
    ("Nebius", 400, "Messages are too long for the model's context"),
    ("Volcengine", 400, "Total tokens of image and text exceed max message tokens"),
    ("Baidu", 400, r#"{"error_code":336007,"error_msg":"prompt tokens too long"}"#),
    (
        "SiliconFlow",
        413,
        r#"{"code":20015,"message":"length of prompt_tokens (40000) must be less than max_seq_len (32768).","data":null}"#,
    ),
    ("StepFun", 400, "input tokens exceed the model's context window: 33000 > 32768"),
    ("Hunyuan", 400, "输入的 token 数超过模型的上下文长度"),
    ("Qwen in Chinese", 400, "输入长度(40000)超过模型最大上下文长度32768"),
    ("a server in Japan", 400, "入力がモデルのコンテキスト長を超えています"),
    ("a server in Korea", 400, "프롬프트가 컨텍스트 길이를 초과했습니다"),
    ("a server in Germany", 400, "Die Eingabe überschreitet das Kontextfenster des Modells"),
    ("a server in Russia", 400, "Запрос превышает максимальную длину контекста"),
];

#[test]
fn histories_that_are_too_long_in_the_words_of_providers() {
    // Its own words speak of images, and only of tokens beside them.
    let unclear = ["Volcengine"];
    for (provider, status, text) in OVERFLOWS.iter().filter(|(provider, ..)| !unclear.contains(provider)) {
        let body = if text.starts_with('{') { (*text).to_owned() } else { said(text) };
        assert!(overflows(*status, &body), "{provider}: {text}");
        assert!(overflows(502, &body), "{provider} inside a stream: {text}");
    }
}

#[test]
fn other_limits_are_no_overflow() {
    let cases: [(u16, &str); 24] = [
        (
            413,
            "Request too large for model `x` in organization `o` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size and try again.",
        ),
        (
            429,
            "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000",
        ),
        (429, "This request would exceed your organization's rate limit of 40,000 input tokens per minute"),
        (400, "You exceeded the daily token limit: quota of 1000000 tokens per day for your prompts"),
        (
            400,
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
        ),
        (
            400,
            "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022",
        ),
        (
            400,
            "'max_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 9000 input tokens (32000 > 32768 - 9000).",
        ),
        (
            400,
            "This model's maximum context length is 8192 tokens. However, you requested 10000 tokens (2000 in the messages, 8000 in the completion).",
        ),
        (
            400,
            "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length or `max_tokens` and try again",
        ),
        (
            400,
            "too many tokens: max tokens must be less than or equal to 4096, the model's maximum output for this model - received 32000.",
        ),
        (
            400,
            "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model",
        ),
        (
            400,
            "Invalid 'input[3].content[0].text': string too long. Expected a string with maximum length 10485760, but got a string with length 20000000 instead.",
        ),
        (
            400,
            "Invalid 'tools[0].function.description': string too long. Expected a string with maximum length 1024, but got a string with length 1300 instead.",
        ),
        (400, "tools.3.description: description is too long: 2000 tokens, at most 1000"),
        (
            400,
            "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length 140 instead.",
        ),
        (400, "Too many tools: the request has 140, at most 128 are allowed"),
        (400, "messages.0.content.1.image_url: image exceeds 5 MB maximum: 6291456 bytes"),
        (400, "The request is invalid: temperature must be at most 2"),
        (400, "Invalid prompt: messages must not be empty"),
        (400, "max_tokens 不能超过 8192"),
        (400, "max_tokens参数非法。取值范围：[1, 4095]"),
        (400, "每分钟输入 token 数超过限制"),
        (401, "prompt is too long"),
        (413, "Request Entity Too Large"),
    ];
    for (status, text) in cases {
        assert!(!overflows(status, &said(text)), "{status} {text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_body_is_classified(status in 200u16..600, body in ".{0,300}") {
        let _ = overflows(status, &body);
    }
}
