use super::*;

#[test]
fn statuses_and_wordings() {
    let cases: [(u16, &str, FailureKind, &str); 17] = [
        (400, r#"{"error":{"message":"bad temperature"}}"#, FailureKind::BadRequest, "lab: bad temperature"),
        (
            400,
            r#"[{"error":{"code":400,"message":"Unknown name"}}]"#,
            FailureKind::BadRequest,
            "lab: Unknown name",
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#,
            FailureKind::ContextLength,
            "lab: This model's maximum context length is 8192 tokens",
        ),
        (
            413,
            r#"{"error":{"message":"prompt is too long"}}"#,
            FailureKind::ContextLength,
            "lab: prompt is too long",
        ),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-abcdef123456"}}"#,
            FailureKind::Unauthorized,
            "lab: Incorrect API key provided: *** (check the endpoint's api_key)",
        ),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance"}}"#,
            FailureKind::QuotaExhausted,
            "lab: Insufficient Balance",
        ),
        (
            403,
            "<html><body>error code: 1010</body></html>",
            FailureKind::Forbidden,
            "lab: error code: 1010 (the provider's filter turned this program away; a `User-Agent` under the endpoint's headers may help)",
        ),
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist"}}"#,
            FailureKind::ModelNotFound,
            "lab: The model `x` does not exist (asked for model `m`; ids are case-sensitive)",
        ),
        (
            404,
            "404 page not found",
            FailureKind::BadRequest,
            "lab: 404 page not found (nothing at this address; check the endpoint's base_url)",
        ),
        (
            410,
            "",
            FailureKind::ModelNotFound,
            "lab: HTTP 410 without a message (asked for model `m`; ids are case-sensitive)",
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","x"],"msg":"field required"}]}"#,
            FailureKind::BadRequest,
            r#"lab: field required ["body","x"]"#,
        ),
        (429, r#"{"error":{"message":"slow down"}}"#, FailureKind::RateLimited, "lab: slow down"),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            FailureKind::QuotaExhausted,
            "lab: You exceeded your current quota",
        ),
        (500, "oops", FailureKind::UpstreamError, "lab: oops"),
        (503, "", FailureKind::Overloaded, "lab: HTTP 503 without a message"),
        (
            302,
            "",
            FailureKind::UpstreamError,
            "lab: HTTP 302 without a message (redirects are never followed; check the endpoint's base_url)",
        ),
        (
            529,
            r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"busy\"}}"}}}"#,
            FailureKind::Overloaded,
            "lab: Provider returned error: busy",
        ),
    ];
    for (status, body, kind, message) in cases {
        let failure = classify(&ErrorContext::new(status, body.as_bytes(), "lab", "m"));
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{status} {body}");
    }
}
#[test]
fn four_kinds_of_too_many_requests() {
    let cases: [(u16, &str, FailureKind, &str); 4] = [
        (
            429,
            r#"{"error":{"code":"1302","message":"High concurrency usage of this API"}}"#,
            FailureKind::ConcurrencyLimited,
            "lab: High concurrency usage of this API",
        ),
        (
            429,
            r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached"}}"#,
            FailureKind::WindowExhausted,
            "lab: The usage limit has been reached",
        ),
        (429, r#"{"error":"Try again in 2h5m"}"#, FailureKind::WindowExhausted, "lab: Try again in 2h5m"),
        (
            429,
            r#"{"error":{"code":"1113","message":"Please recharge"}}"#,
            FailureKind::QuotaExhausted,
            "lab: Please recharge",
        ),
    ];
    for (status, body, kind, message) in cases {
        let failure = classify(&ErrorContext::new(status, body.as_bytes(), "lab", "m"));
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{status} {body}");
    }
}
