//! Every place that a secret can come from makes it known, and what is taken up later is known, too. The secrets here look like words, so
//! that nothing but their value tells them from any other text.

use latimer_protocol::secret::Secret;
use latimer_proxy::accounts::file::{self, Tokens};
use latimer_proxy::config::Login;
use serde_json::{Value, json};

use crate::support::field_report::{FieldHarness, ProviderAnswer, RuleProvider};
use crate::support::{folder, latimer_in, wait_until};

/// The places, and what comes from each.
const SECRETS: [(&str, &str); 9] = [
    ("api_key", "QuaggaLlamaEmuKoala"),
    ("the second of a list", "KoalaQuaggaLlamaEmu"),
    ("api_key_env", "EmuKoalaQuaggaLlama"),
    ("api_key_file", "LlamaEmuKoalaQuagga"),
    ("a header", "DingoNumbatBilbyPossum"),
    ("a proxy's password", "PossumDingoNumbatBilby"),
    ("the access token of an account", "BilbyPossumDingoNumbat"),
    ("the refresh token of an account", "NumbatBilbyPossumDingo"),
    ("a key that a reload brought", "WombatQuokkaTaipanGalah"),
];

/// What the upstream says: all of them, and latimer's own token.
fn said(dir: &std::path::Path) -> Vec<String> {
    let token = std::fs::read_to_string(dir.join("state/token")).expect("a token");
    SECRETS.iter().map(|(_, secret)| (*secret).to_owned()).chain([token]).collect()
}

fn config(base_url: &str, dir: &std::path::Path) -> String {
    let [key, second, _, _, header, password, ..] = SECRETS.map(|(_, secret)| secret);
    let file = dir.join("key").display().to_string();
    let endpoint = |name: &str, more: &str| {
        format!(
            "[[endpoint]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nretries = 0\nmodels = [\"{name}-1\"]\n{more}\n"
        )
    };
    [
        "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
        endpoint("lab", &format!("api_key = [\"{key}\", \"{second}\"]\nheaders = {{ \"x-lab-token\" = \"{header}\", \"x-team\" = \"Kangaroos\" }}")),
        endpoint("two", "api_key_env = \"LAB_KEY\""),
        endpoint("three", &format!("api_key_file = {}", json!(file))),
        endpoint("four", &format!("proxy = \"http://ann:{password}@127.0.0.1:9\"")),
        endpoint("five", "protocol = \"command_code\"\nlogin = \"command-code\""),
    ]
    .concat()
}

#[test]
fn a_secret_is_known_wherever_it_comes_from() {
    let dir = folder("known-secrets");
    let place = dir.clone();
    let provider = RuleProvider::start(move |_| {
        let words = said(&place).join(" and ");
        ProviderAnswer::json(400, &json!({ "error": { "message": format!("said {words} of Kangaroos") } }))
    });
    std::fs::write(dir.join("key"), format!("{}\n", SECRETS[3].1)).expect("written");
    let text = config(&provider.base_url, &dir);
    std::fs::write(dir.join("latimer.toml"), &text).expect("written");
    let tokens = Tokens {
        id: "me@test".into(),
        access: Secret::new(SECRETS[6].1),
        refresh: Some(Secret::new(SECRETS[7].1)),
        expires_at: None,
        project: None,
    };
    let path = file::path(&dir.join("state"), Login::CommandCode, "me@test");
    file::write(&path, Login::CommandCode, &tokens).expect("written");
    let log = std::fs::File::create(dir.join("proxy.log")).expect("a log");
    let mut command = latimer_in(&dir, &["serve", "--log", "json"]);
    command.stdin(std::process::Stdio::null()).stderr(log).env("LAB_KEY", SECRETS[2].1);
    let harness = FieldHarness::of(dir.clone(), provider, &mut command);
    let ask = || {
        let body = json!({ "model": "lab-1", "stream": true, "store": false, "input": "go" });
        harness.ask("/v1/responses", "", &body.to_string()).body
    };
    let reload = SECRETS.len() - 1;
    let answer = ask();
    assert!(answer.contains("of Kangaroos"), "a header that is no credential is a word: {answer}");
    let told = |answer: &str| -> Vec<&str> {
        SECRETS.iter().filter(|(_, secret)| answer.contains(secret)).map(|(place, _)| *place).collect()
    };
    assert_eq!(told(&answer), [SECRETS[reload].0], "what nobody configured is a word: {answer}");
    assert!(!answer.contains(&said(&dir)[SECRETS.len()]), "the token: {answer}");
    let more = format!(
        "{text}[[endpoint]]\nname = \"six\"\nbase_url = \"https://six.test\"\napi_key = \"{}\"\n",
        SECRETS[reload].1
    );
    std::fs::write(dir.join("latimer.toml"), more).expect("written");
    wait_until("the configuration is taken up", || {
        let log = std::fs::read_to_string(dir.join("proxy.log")).expect("a log");
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .any(|line| line["event"] == "config.reloaded")
    });
    let answer = ask();
    assert!(answer.contains("of Kangaroos") && told(&answer).is_empty(), "{answer}");
}
