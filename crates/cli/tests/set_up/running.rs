//! A proxy that runs by itself: seen, ended, and told of a configuration that was written later.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use super::support::wait_until;
use super::{home, newcomer, run, serving};

#[test]
fn a_bare_proxy_is_seen_takes_up_a_configuration_that_comes_later_and_is_ended() {
    let home = home("bare");
    let (mut child, url) = serving(&home);
    let (code, text) = run(&home, &["status"]);
    assert!(code == 0 && text.contains(&url) && text.contains("nobody watches it"), "{text}");
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

/// What stands behind this line of the guide, up to the end of its block.
fn block<'t>(text: &'t str, section: &str, language: &str) -> &'t str {
    let section = text.split(&format!("## {section}\n")).nth(1).expect("a section");
    section.split(&format!("```{language}\n")).nth(1).expect("a block").split("```").next().expect("its end")
}

#[test]
fn the_image_starts_with_the_command_of_its_file_and_the_configuration_of_the_guide() {
    let home = home("image");
    std::fs::create_dir_all(&home).expect("made");
    let guide = block(include_str!("../../../../docs/install.md"), "In Docker", "toml");
    assert!(guide.contains("0.0.0.0:4180"), "{guide}");
    let config = home.join("config.toml");
    std::fs::write(&config, guide.replace("0.0.0.0:4180", "0.0.0.0:0")).expect("written");
    let dockerfile = include_str!("../../../../packaging/Dockerfile");
    let line = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    let words: Vec<String> = serde_json::from_str(line).expect("a list of words");
    let state = home.join("state").to_string_lossy().into_owned();
    let words: Vec<String> = words
        .into_iter()
        .map(|word| match word.as_str() {
            "/etc/latimer/config.toml" => config.to_string_lossy().into_owned(),
            "/var/lib/latimer/state" => state.clone(),
            _ => word,
        })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = newcomer(&home, &words)
        .env("DEEPSEEK_API_KEY", "sk-numbat-0123456789")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("latimer runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.unwrap_or_else(|| panic!("it does not start: {line}"));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    child.kill().expect("ended");
    let _ = child.wait();
}
