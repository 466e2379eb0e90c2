//! K22: an outbound proxy is used, or said not to be.

use std::process::Command;

use serde_json::json;

use crate::support::field_report::{FieldHarness, ProviderAnswer, RuleProvider};
use crate::support::{folder, latimer_in, output};

/// A proxy that is the provider of whatever it is asked for.
fn proxy() -> RuleProvider {
    RuleProvider::start(|_| {
        let message = json!({ "role": "assistant", "content": "through the proxy" });
        let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{ "index": 0, "delta": message, "finish_reason": "stop" }] });
        ProviderAnswer::stream(&[chunk, json!("data: [DONE]\n\n")])
    })
}

fn written(name: &str, endpoint: &str) -> std::path::PathBuf {
    let dir = folder(name);
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nmodels = [\"m\"]\n{endpoint}\n"
    );
    std::fs::write(dir.join("latimer.toml"), text).expect("written");
    dir
}

/// Without the variables of whoever runs the tests.
fn bare(command: &mut Command) -> &mut Command {
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command
}

#[test]
fn check_says_which_proxy_is_used_and_refuses_what_cannot_be() {
    let dir = written("k22-check", "base_url = \"https://provider.test/v1\"");
    let check = |name: &str, value: &str| {
        let mut command = latimer_in(&dir, &["check"]);
        let output = output(bare(&mut command).env(name, value));
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("hunter2"), "{said}");
        (output.status.success(), said)
    };
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let (fine, said) = check(name, "http://me:hunter2@127.0.0.1:3128");
        assert!(fine && said.contains("lab: goes out through the proxy http://127.0.0.1:3128"), "{said}");
    }
    let (fine, said) = check("HTTP_PROXY", "http://127.0.0.1:3128");
    assert!(fine && !said.contains("proxy"), "an https address: {said}");
    let (fine, said) = check("ALL_PROXY", "gopher://me:hunter2@127.0.0.1:3128");
    assert!(!fine && said.contains("ALL_PROXY") && said.contains("socks5h://"), "{said}");
}

#[test]
fn a_turn_goes_through_the_proxy_of_the_environment_or_of_the_endpoint() {
    let base = "base_url = \"http://provider.test:8000/v1\"\nallow_http = true";
    for (name, variable) in [("k22-env", Some("http_proxy")), ("k22-own", None)] {
        let proxy = proxy();
        let address = proxy.base_url.trim_end_matches("/v1").to_owned();
        let own = variable.map_or_else(|| format!("\nproxy = \"{address}\""), |_| String::new());
        let dir = written(name, &format!("{base}{own}"));
        let log = dir.join("proxy.log");
        let mut command = latimer_in(&dir, &["serve", "--log", "json"]);
        bare(&mut command).stderr(std::fs::File::create(&log).expect("a log"));
        if let Some(variable) = variable {
            command.env(variable, &address);
        }
        let harness = FieldHarness::of(dir, proxy, &mut command);
        let request = json!({ "model": "m", "input": "hi", "stream": true }).to_string();
        let answer = harness.ask("/v1/responses", "", &request);
        answer.assert_completed();
        assert!(answer.body.contains("through the proxy"), "{answer:?}");
        let requests = harness.requests();
        let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths, ["http://provider.test:8000/v1/chat/completions"]);
        let log = std::fs::read_to_string(log).expect("a log");
        assert!(log.contains("outbound.proxy") && log.contains(&address), "{log}");
    }
}
