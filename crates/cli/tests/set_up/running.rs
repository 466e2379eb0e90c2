//! A proxy that runs by itself: seen, ended, and told of a configuration that was written later.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::support::wait_until;
use super::{home, newcomer, run};

#[test]
fn a_bare_proxy_is_seen_takes_up_a_configuration_that_comes_later_and_is_ended() {
    let home = home("bare");
    let mut child = newcomer(&home, &["serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("latimer runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("latimer listening on ").expect("a URL");
    let (code, text) = run(&home, &["status"]);
    assert!(code == 0 && text.contains(url) && text.contains("nobody watches it"), "{text}");
    let (code, text) =
        run(&home, &["endpoints", "add", "lab", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"]);
    assert_eq!(code, 0, "{text}");
    wait_until("the configuration is taken up", || {
        let (_, text) = run(&home, &["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        status["health"]["config"]["reloads"] == 1 && status["health"]["endpoints"][0]["name"] == "lab"
    });
    assert_eq!(run(&home, &["down"]), (0, "stopped\n".to_owned()));
    assert!(child.wait().expect("ended").success());
    assert_eq!(run(&home, &["down"]), (0, "nothing runs\n".to_owned()));
    assert_eq!(run(&home, &["status"]).0, 3);
}
