//! The configuration file, edited by command.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::support::output;
use super::{config_text, home, newcomer, run};

#[test]
fn without_a_configuration_its_path_and_the_next_command_are_said() {
    let home = home("absent");
    let (code, text) = run(&home, &["check"]);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains(".config/latimer/config.toml") && text.contains("endpoints add"), "{text}");
    let (code, text) = run(&home, &["status"]);
    assert_eq!(code, 3, "{text}");
}

#[test]
fn an_endpoint_is_added_with_its_missing_variable_said() {
    let home = home("add");
    let (code, text) = run(&home, &["endpoints", "add", "--preset", "deepseek"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("+ preset = \"deepseek\"") && text.contains("export DEEPSEEK_API_KEY=…"), "{text}");
    let (_, text) = run(&home, &["endpoints"]);
    assert!(text.contains("no key") && text.contains("DEEPSEEK_API_KEY"), "{text}");
    let (code, text) = run(&home, &["check"]);
    assert!(code == 0 && text.contains("a key is missing") && text.contains("DEEPSEEK_API_KEY"), "{text}");
    let (code, text) = run(&home, &["endpoints", "add", "--preset", "deepseek"]);
    assert!(code == 1 && text.contains("already"), "{text}");
    let (code, text) = run(&home, &["endpoints", "add", "x", "--preset", "depseek"]);
    assert!(code == 4 && text.contains("did you mean \"deepseek\"?"), "{text}");
    let mode =
        std::fs::metadata(home.join(".config/latimer/config.toml")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_key_from_stdin_goes_into_a_private_file_and_nowhere_else() {
    let home = home("key");
    let args =
        ["endpoints", "add", "lab", "--base-url", "https://lab.test/v1", "--key-stdin", "--model", "m"];
    let mut child = newcomer(&home, &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("latimer runs");
    child.stdin.take().expect("piped").write_all(b"sk-numbat-0123456789\n").expect("sent");
    let (code, text) = super::said(&child.wait_with_output().expect("ended"));
    assert!(code == 0 && !text.contains("sk-numbat"), "{text}");
    let key = home.join(".config/latimer/keys/lab");
    assert_eq!(std::fs::read_to_string(&key).expect("a key"), "sk-numbat-0123456789");
    assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(!config_text(&home).contains("sk-numbat"));
}

#[test]
fn comments_survive_a_switch_and_a_disabled_endpoint_is_not_routed_to() {
    let home = home("switch");
    let dir = home.join(".config/latimer");
    std::fs::create_dir_all(&dir).expect("made");
    let text = "# mine\ndefault_endpoint = \"a\"\n\n[[endpoint]]\nname = \"a\" # first\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"one\"]\n\n[[endpoint]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:2/v1\"\nmodels = [\"two\"]\n";
    std::fs::write(dir.join("config.toml"), text).expect("written");
    let (code, said) = run(&home, &["endpoints", "disable", "a"]);
    assert_eq!(code, 0, "{said}");
    let want = text.replace("models = [\"one\"]\n", "models = [\"one\"]\nenabled = false\n");
    assert_eq!(config_text(&home), want);
    let (_, models) = run(&home, &["models"]);
    assert!(models.contains("two") && !models.contains("one"), "{models}");
    let (_, list) = run(&home, &["endpoints"]);
    assert!(list.contains("a  disabled"), "{list}");
    run(&home, &["endpoints", "enable", "a"]);
    assert_eq!(config_text(&home), text);
    let (code, said) = run(&home, &["use", "b", "--for", "codex"]);
    assert_eq!(code, 0, "{said}");
    assert!(config_text(&home).contains("[launch.codex]\nmodel = \"two\""), "{}", config_text(&home));
    let (code, said) = run(&home, &["use", "c/x"]);
    assert_eq!(code, 0, "the default endpoint takes what is not listed: {said}");
    let (code, said) = run(&home, &["endpoints", "remove", "z"]);
    assert!(code == 1 && said.contains("there are: a, b"), "{said}");
}

#[test]
fn writers_at_once_lose_nothing() {
    let home = home("writers");
    let children: Vec<_> = (0..6)
        .map(|number| {
            let url = format!("http://127.0.0.1:{}/v1", number + 1);
            newcomer(&home, &["endpoints", "add", &format!("e{number}"), "--base-url", &url])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("latimer runs")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("ended").success());
    }
    assert_eq!(config_text(&home).matches("[[endpoint]]").count(), 6);
}

#[test]
fn the_first_example_of_the_guide_to_routing_can_be_used_by_a_flag_before_the_command_and_by_a_variable() {
    let home = home("guide");
    let guide = include_str!("../../../../docs/routing.md");
    let example =
        guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let path = home.join("guide.toml");
    std::fs::write(&path, example).expect("written");
    let (code, text) = run(&home, &["--config", &path.to_string_lossy(), "check"]);
    assert!(code == 0 && text.contains("2 endpoint(s)"), "{text}");
    let by_variable = output(newcomer(&home, &["check"]).env("LATIMER_CONFIG", &path));
    assert_eq!(super::said(&by_variable), (code, text));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let home = home("pipe");
    let mut child = newcomer(&home, &["presets"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("latimer runs");
    drop(child.stdout.take());
    let (code, text) = super::said(&child.wait_with_output().expect("ended"));
    assert_eq!((code, text.as_str()), (0, ""));
}
