use super::*;

fn applied(field: &str, rule: FieldRule, protocol: WireProtocol, body: &str) -> Option<String> {
    let mut rules = FieldRules::default();
    rules.set(field, rule);
    rules.apply(body.as_bytes(), protocol, &mut |_| {}).map(|body| String::from_utf8(body).expect("text"))
}

#[test]
fn the_most_tokens_of_an_answer_under_every_name() {
    let cases = [
        (
            WireProtocol::Chat,
            r#"{"m":"żółw" ,"max_tokens":32000}"#,
            Some(r#"{"m":"żółw","max_tokens":8192}"#),
        ),
        (WireProtocol::Chat, r#"{"max_completion_tokens":32000}"#, Some(r#"{"max_completion_tokens":8192}"#)),
        (WireProtocol::Chat, r#"{"max_tokens":100}"#, None),
        (WireProtocol::Chat, r#"{"messages":[]}"#, None),
        (WireProtocol::Responses, r#"{"max_output_tokens":32000}"#, Some(r#"{"max_output_tokens":8192}"#)),
        (
            WireProtocol::Gemini,
            r#"{"generationConfig":{"maxOutputTokens":32000,"x":1}}"#,
            Some(r#"{"generationConfig":{"maxOutputTokens":8192,"x":1}}"#),
        ),
        (
            WireProtocol::CommandCode,
            r#"{"params":{"max_tokens":64000}}"#,
            Some(r#"{"params":{"max_tokens":8192}}"#),
        ),
        (
            WireProtocol::Messages,
            r#"{"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":24576}}"#,
            Some(r#"{"max_tokens":8192,"thinking":{"type":"enabled","budget_tokens":6144}}"#),
        ),
        (
            WireProtocol::Messages,
            r#"{"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":4000}}"#,
            Some(r#"{"max_tokens":8192,"thinking":{"type":"enabled","budget_tokens":4000}}"#),
        ),
    ];
    for (protocol, body, want) in cases {
        assert_eq!(applied(MAX_OUTPUT, FieldRule::at_most(8192), protocol, body).as_deref(), want, "{body}");
    }
    let body = r#"{"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":24576}}"#;
    let small = |tokens| applied(MAX_OUTPUT, FieldRule::at_most(tokens), WireProtocol::Messages, body);
    assert_eq!(
        small(1200).as_deref(),
        Some(r#"{"max_tokens":1200,"thinking":{"type":"enabled","budget_tokens":1024}}"#)
    );
    assert_eq!(small(1000).as_deref(), Some(r#"{"max_tokens":1000}"#));
    let absent = |protocol| applied(MAX_OUTPUT, FieldRule::Absent, protocol, r#"{"max_tokens":32000}"#);
    assert_eq!(absent(WireProtocol::Chat).as_deref(), Some("{}"));
    assert_eq!(absent(WireProtocol::Messages).as_deref(), Some(r#"{"max_tokens":4096}"#));
}

#[test]
fn values_that_are_taken() {
    let efforts = || FieldRule::OneOf(["low", "medium", "high", "xhigh"].map(str::to_owned).to_vec());
    let body = r#"{"reasoning":{"effort":"max","summary":"auto"},"x":1}"#;
    assert_eq!(
        applied("reasoning.effort", efforts(), WireProtocol::Responses, body).as_deref(),
        Some(r#"{"reasoning":{"effort":"xhigh","summary":"auto"},"x":1}"#)
    );
    assert_eq!(
        applied("reasoning.effort", efforts(), WireProtocol::Responses, r#"{"reasoning":{"effort":"low"}}"#),
        None
    );
    assert_eq!(
        applied("reasoning.effort", efforts(), WireProtocol::Responses, r#"{"reasoning":null}"#),
        None
    );
    let hot = FieldRule::Range { min: Some(0.0), max: Some(1.0) };
    assert_eq!(
        applied("temperature", hot, WireProtocol::Chat, r#"{"temperature":1.5}"#).as_deref(),
        Some(r#"{"temperature":1}"#)
    );
    let auto = || FieldRule::OneOf(vec!["none".to_owned(), "auto".to_owned()]);
    assert_eq!(
        applied("tool_choice", auto(), WireProtocol::Chat, r#"{"tool_choice":{"type":"function"}}"#)
            .as_deref(),
        Some(r#"{"tool_choice":"auto"}"#)
    );
    assert_eq!(
        applied("service_tier", FieldRule::Absent, WireProtocol::Chat, r#"{"service_tier":"flex","a":1}"#)
            .as_deref(),
        Some(r#"{"a":1}"#)
    );
    let thinking = || FieldRule::OneOf(vec!["enabled".to_owned(), "disabled".to_owned()]);
    let body = r#"{"max_tokens":9000,"thinking":{"type":"adaptive"}}"#;
    assert_eq!(
        applied("thinking.type", thinking(), WireProtocol::Messages, body).as_deref(),
        Some(r#"{"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":4500}}"#)
    );
}

#[test]
fn ranges_are_joined_and_caps_only_fall() {
    let mut rules = FieldRules::default();
    rules.set(MAX_OUTPUT, FieldRule::Range { min: Some(16.0), max: None });
    rules.cap_output(8192);
    rules.cap_output(9000);
    assert_eq!(rules.get(MAX_OUTPUT), Some(&FieldRule::Range { min: Some(16.0), max: Some(8192.0) }));
    assert_eq!((rules.max_output(), rules.window()), (Some(8192), None));
}

proptest::proptest! {
    #[test]
    fn any_body_stays_json(body in "[\\[\\]{}:,\"a-c1 ]{0,60}", max in 1u64..100) {
        for body in [body.clone(), format!("{{\"max_tokens\":{body}}}"), format!("{{\"max_tokens\":500,\"a\":{body}}}")] {
            if let Some(new) = applied(MAX_OUTPUT, FieldRule::at_most(max), WireProtocol::Chat, &body) {
                proptest::prop_assert!(serde_json::from_str::<Value>(&new).is_ok(), "{}", new);
            }
        }
    }
}
