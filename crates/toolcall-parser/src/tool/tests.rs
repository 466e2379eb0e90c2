use super::*;

#[test]
fn arguments_fit_what_is_declared() {
    let tool = Tool::new(
        "f",
        r#"{"properties":{"a":{"type":"string"},"n":{"type":["integer","null"]},"x":{}},"required":["a"]}"#,
    );
    for (arguments, want) in [
        (r#"{"a":"1"}"#, true),
        (r#"{"a":"1","n":7,"x":[]}"#, true),
        (r#"{"a":"1","n":null}"#, true),
        ("{}", false),
        (r#"{"a":1}"#, false),
        (r#"{"a":"1","n":7.5}"#, false),
        (r#"{"a":"1","b":2}"#, false),
        ("[]", false),
    ] {
        let (value, _) = json::read(arguments).expect("JSON");
        assert_eq!(tool.fits(&value), want, "{arguments}");
    }
    assert!(!Tool::new("g", "{}").fits(&Value::Object(Vec::new())), "it cannot be told");
}

#[test]
fn what_an_alternative_requires_is_never_empty_as_absent() {
    let lowered = r#"{"properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#;
    let union = r#"{"oneOf":[{"properties":{"a":{}},"required":["a"]},{"properties":{"b":{}}}]}"#;
    let tool = Tool::new("f", lowered).declared_as(union);
    assert_eq!(["a", "b", "c"].map(|key| tool.is_empty_as_absent(key)), [false, true, false]);
    let tool = Tool::new("f", r#"{"properties":{"a":{},"b":{"const":""},"c":{"enum":["","x"]}}}"#);
    assert_eq!(["a", "b", "c"].map(|key| tool.is_empty_as_absent(key)), [true, false, false]);
}

#[test]
fn a_tool_takes_patches_by_its_name_or_by_what_is_said_of_it() {
    let free = r#"{"properties":{"input":{"type":"string"}},"required":["input"]}"#;
    let patch = r#"{"properties":{"patch":{"type":"string"}}}"#;
    let grammar = "edits\n\nlark grammar:\nstart: \"*** Begin Patch\" LF";
    for (name, schema, description, want) in [
        ("apply_patch", free, "", Input::Patch),
        ("functions__apply_patch", patch, "", Input::Patch),
        ("edit", free, grammar, Input::Patch),
        ("edit", patch, grammar, Input::Arguments),
        ("exec", free, "runs code", Input::FreeText),
        ("shell", r#"{"properties":{"command":{"type":"string"}}}"#, grammar, Input::Arguments),
        ("apply_patch", r#"{"properties":{"a":{"type":"string"},"b":{}}}"#, grammar, Input::Arguments),
    ] {
        assert_eq!(Tool::new(name, schema).described(description).input(), want, "{name} {description}");
    }
}

#[test]
fn the_schema_decides_what_text_means() {
    let tool = Tool::new(
        "f",
        r##"{"properties":{"s":{"type":"string"},"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},
        "o":{"type":"object"},"a":{"$ref":"#/$defs/list"},"m":{"anyOf":[{"type":"integer"},{"type":"string"},{"type":"null"}]},
        "e":{"enum":["1","2"]}},"$defs":{"list":{"type":"array"}}}"##,
    );
    for (key, text, want) in [
        ("s", "42", "\"42\""),
        ("s", "null", "\"null\""),
        ("i", " 42 ", "42"),
        ("i", "4.2", "\"4.2\""),
        ("n", "5.0", "5.0"),
        ("b", "True", "true"),
        ("b", "yes", "\"yes\""),
        ("o", "{'a': True}", r#"{"a":true}"#),
        ("a", "[1, 'x']", r#"[1,"x"]"#),
        ("a", "none", "\"none\""),
        ("m", "7", "7"),
        ("m", "null", "null"),
        ("m", "x", "\"x\""),
        ("e", "1", "\"1\""),
        ("unknown", "7", "7"),
        ("unknown", "seven", "\"seven\""),
        ("unknown", "{\"a\":1}", "{\"a\":1}"),
    ] {
        assert_eq!(tool.typed(key, text).to_json(), want, "{key} {text}");
    }
}
