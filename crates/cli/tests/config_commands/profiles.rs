//! Profiles in use: what the provider is asked.

use latimer_adapters::scripted::ScriptedAnswer;

use super::script;
use super::support::{Harness, latimer_in, output};

const PROFILES: &str = "[[profile]]\nname = \"deep\"\nendpoint = \"lab\"\nmodel = \"glm-5\"\nsmall_model = \"glm-small\"\neffort = \"high\"\nrepair = \"off\"\n[[profile]]\nname = \"plain\"\nendpoint = \"lab\"\n";

#[test]
fn a_profile_says_the_model_and_the_effort_whatever_the_client_asks_for() {
    let quirks = format!("quirks = {{ reasoning = \"effort\" }}\n{PROFILES}");
    let harness = Harness::configured("profile", [ScriptedAnswer::text("Hello.")], "", &quirks);
    let ask = |model: &str| {
        let body = format!(r#"{{"model":"{model}","input":"hi","reasoning":{{"effort":"low"}}}}"#);
        let answer = harness.post(&body, "");
        assert!(answer.contains("Hello."), "{answer}");
        harness.requests().last().expect("a request").body.clone()
    };
    let asked = ask("deep");
    assert_eq!((&asked["model"], &asked["reasoning_effort"]), (&"glm-5".into(), &"high".into()), "{asked}");
    let asked = ask("plain");
    assert_eq!((&asked["model"], &asked["reasoning_effort"]), (&"glm-5".into(), &"low".into()), "{asked}");
}

#[test]
fn the_effort_of_a_profile_holds_where_both_sides_speak_the_same_protocol() {
    let endpoint = format!("protocol = \"responses\"\n{PROFILES}");
    let harness = Harness::configured("profile-same", [ScriptedAnswer::text("Hello.")], "", &endpoint);
    let body = r#"{"model":"deep","input":"hi","reasoning":{"effort":"low"}}"#;
    harness.post(body, "");
    let asked = harness.requests().last().expect("a request").body.clone();
    assert_eq!(
        (&asked["model"], &asked["reasoning"]["effort"]),
        (&"glm-5".into(), &"high".into()),
        "{asked}"
    );
}

#[test]
fn a_call_in_text_stays_text_where_a_profile_says_so() {
    let call = "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": \"x\"}}</tool_call>";
    let harness = Harness::configured("profile-repair", [ScriptedAnswer::text(call)], "", PROFILES);
    let ask = |model: &str, header: &str| {
        let body = format!(
            r#"{{"model":"{model}","input":"hi","tools":[{{"type":"function","name":"look","parameters":{{"type":"object","properties":{{"at":{{"type":"string"}}}}}}}}]}}"#
        );
        harness.post(&body, header)
    };
    assert!(ask("plain", "").contains("function_call"), "the endpoint's own level makes it a call");
    assert!(!ask("deep", "").contains("function_call"), "the profile's does not");
    assert!(ask("deep", "x-latimer-repair: parse\r\n").contains("function_call"), "a header goes before it");
}

#[test]
fn a_launch_takes_a_profile_whole() {
    let harness = Harness::configured("profile-launch", [ScriptedAnswer::text("")], "", PROFILES);
    let program =
        script(&harness.dir, "client.sh", "echo \"$@ | $ANTHROPIC_MODEL $ANTHROPIC_SMALL_FAST_MODEL\"");
    let launch = |client: &str, args: &[&str]| {
        let mut command = latimer_in(&harness.dir, &["--quiet"]);
        let run = output(command.args(["launch", client, "--program"]).arg(&program).args(args));
        (
            run.status.code(),
            format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)),
        )
    };
    let (code, text) = launch("codex", &["--profile", "deep"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("model=\"deep\"") && text.contains("model_reasoning_effort=\"high\""), "{text}");
    let (_, text) = launch("claude", &["--profile", "deep"]);
    assert!(text.contains("| deep lab/glm-small"), "{text}");
    let (code, text) = launch("codex", &["--profile", "shallow"]);
    assert!(code == Some(1) && text.contains("there are: deep, plain"), "{text}");
    let (code, _) = launch("codex", &["--profile", "deep", "--model", "glm-5"]);
    assert_eq!(code, Some(2));
    let used = output(&mut latimer_in(&harness.dir, &["use", "deep", "--for", "codex"]));
    assert!(used.status.success());
    let (_, text) = launch("codex", &[]);
    assert!(text.contains("model_reasoning_effort=\"high\""), "{text}");
}
