//! Logins with the real binary, against a token endpoint of our own; and one refresher for all.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::task::Poll;

use latimer_adapters::scripted::{ScriptedAnswer, Service};
use latimer_protocol::secret::Secret;
use latimer_proxy::accounts::{self, Places};
use latimer_proxy::config::Login;
use serde_json::{Value, json};
use support::{Harness, WAIT_TIMEOUT, folder, latimer, status};

const SECRETS: [&str; 4] = ["canary-access", "canary-refresh", "canary-secret", "canary-newer"];

struct Desk {
    dir: PathBuf,
    runtime: tokio::runtime::Runtime,
    service: Service,
}

impl Desk {
    fn new(name: &str, script: Vec<(&'static str, u16, Value)>) -> Self {
        let dir = folder(name);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let service = runtime.block_on(Service::start(script)).expect("a service");
        latimer_files::prepare(&dir.join("state")).expect("made");
        let client = json!({
            "client_id": "an-id", "client_secret": "canary-secret", "base_url": service.base,
            "authorize_url": format!("{}/authorize", service.base), "token_url": format!("{}/token", service.base),
            "user_url": format!("{}/userinfo", service.base),
        });
        let clients = json!({ "google": client, "anthropic": client, "codebuff": client, "chatgpt": client });
        latimer_files::write(&dir.join("state/oauth-clients.json"), clients.to_string().as_bytes())
            .expect("written");
        Self { dir, runtime, service }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = latimer();
        command.args(args).arg("--state-dir").arg(self.dir.join("state")).env("HOME", self.dir.join("home"));
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str], input: &str) -> (bool, String) {
        let mut child = self.command(args).spawn().expect("latimer runs");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("ended");
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "a secret was printed: {text}");
        (output.status.success(), text)
    }

    /// An account of this login whose token ends then.
    fn keep(&self, login: &str, ends: u64) {
        let login = Login::from_name(login).expect("known");
        let tokens = accounts::file::Tokens {
            id: "me@test".into(),
            access: Secret::new("canary-access"),
            refresh: Some(Secret::new("canary-refresh")),
            expires_at: Some(ends),
            project: None,
        };
        let path = accounts::file::path(&self.dir.join("state"), login, "me@test");
        accounts::file::write(&path, login, &tokens).expect("written");
    }

    fn places(&self) -> Arc<Places> {
        Arc::new(Places::new(self.dir.join("state"), None, |_| None))
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs()
}

fn token(life: u64) -> (&'static str, u16, Value) {
    (
        "POST /token",
        200,
        json!({ "access_token": "canary-access", "refresh_token": "canary-refresh", "expires_in": life }),
    )
}

fn user() -> (&'static str, u16, Value) {
    ("GET /userinfo", 200, json!({ "email": "me@test" }))
}

/// Reads until the address is printed. The pipe is given back: a program whose stdout is closed fails.
fn address(child: &mut Child) -> (String, BufReader<ChildStdout>) {
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let address = out.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("http"));
    (address.expect("an address"), out)
}

fn field(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("a query").1;
    let value = query.split('&').find_map(|harness| harness.strip_prefix(&format!("{name}="))).expect(name);
    value.replace("%3A", ":").replace("%2F", "/")
}

fn browse(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("a plain address");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("connected");
    let head = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    // In two pieces, as a slow browser would.
    let (first, rest) = head.split_at(7);
    stream.write_all(first.as_bytes()).expect("sent");
    stream.write_all(rest.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

fn account_file(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir.join("state/accounts/google"))
        .expect("a folder")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .expect("a file")
}

#[test]
fn a_browser_brings_the_code() {
    let desk = Desk::new("browser", vec![token(3600), user()]);
    let mut child = desk.command(&["login", "google"]).spawn().expect("latimer runs");
    let (url, _out) = address(&mut child);
    assert_eq!(
        (field(&url, "client_id").as_str(), field(&url, "code_challenge_method").as_str()),
        ("an-id", "S256")
    );
    let back = field(&url, "redirect_uri");
    assert!(browse(&format!("{back}x")).starts_with("HTTP/1.1 404"), "a wrong path is nothing");
    let answer = browse(&format!("{back}?code=the-code&state={}", field(&url, "state")));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("logged in"), "{answer}");
    assert!(child.wait().expect("ended").success());
    let exchange = desk.service.requests()[0].text.clone();
    assert!(exchange.contains("code=the-code") && exchange.contains("code_verifier="), "{exchange}");
    let file = account_file(&desk.dir);
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let (_, listed) = desk.run(&["accounts", "--json"], "");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["state"]), (&json!("me@test"), &json!("ok")));
    let (well, said) = desk.run(&["logout", "google"], "");
    assert!(well && said.contains("logged out me@test") && !file.exists(), "{said}");
}

#[test]
fn only_a_no_with_the_right_state_ends_the_login() {
    let desk = Desk::new("denied", Vec::new());
    let mut child = desk.command(&["login", "google"]).spawn().expect("latimer runs");
    let (url, _out) = address(&mut child);
    let back = field(&url, "redirect_uri");
    for query in ["?code=c&state=forged", "?error=access_denied", "?error=access_denied&state=forged"] {
        assert!(browse(&format!("{back}{query}")).starts_with("HTTP/1.1 400"), "{query}");
    }
    assert!(child.try_wait().expect("asked").is_none(), "it goes on waiting");
    assert!(
        browse(&format!("{back}?error=access_denied&state={}", field(&url, "state")))
            .starts_with("HTTP/1.1 400")
    );
    let output = child.wait_with_output().expect("ended");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("access_denied"), "{output:?}");
    assert!(desk.service.requests().is_empty(), "no code was exchanged");
}

#[test]
fn silent_connections_do_not_delay_a_login() {
    let desk = Desk::new("silent", vec![token(3600), user()]);
    let mut child = desk.command(&["login", "google"]).spawn().expect("latimer runs");
    let (url, _out) = address(&mut child);
    let back = field(&url, "redirect_uri");
    let host = back.trim_start_matches("http://").split('/').next().expect("a host");
    let silent: Vec<_> = (0..6).map(|_| std::net::TcpStream::connect(host).expect("connected")).collect();
    let begun = std::time::Instant::now();
    let answer = browse(&format!("{back}?code=the-code&state={}", field(&url, "state")));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // One after the other they would have taken five seconds each.
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    assert!(child.wait().expect("ended").success());
    drop(silent);
}

#[test]
fn a_login_comes_back_to_both_addresses_of_localhost() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let desk = Desk::new("both", Vec::new());
    let mut child = desk.command(&["login", "anthropic"]).spawn().expect("latimer runs");
    let (url, _out) = address(&mut child);
    let back = field(&url, "redirect_uri");
    let port: u16 =
        back.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok()).expect("a port");
    for host in ["127.0.0.1", "::1"] {
        assert!(std::net::TcpStream::connect((host, port)).is_ok(), "{host}");
    }
    child.kill().expect("ended");
    child.wait().expect("ended");
}

#[test]
fn a_code_can_be_pasted() {
    let desk = Desk::new("pasted", vec![token(3600), user()]);
    let (well, said) = desk.run(&["login", "anthropic", "--no-browser"], "the-code\n");
    assert!(well && said.contains("logged in"), "{said}");
    let exchange: Value = serde_json::from_str(&desk.service.requests()[0].text).expect("JSON");
    assert_eq!(exchange["code"], "the-code");
    let (well, said) = desk.run(&["login", "anthropic", "--no-browser"], "the-code#of-another-login\n");
    assert!(!well && said.contains("another login"), "{said}");
}

#[test]
fn keys_are_read_from_stdin_and_codebuff_is_asked_until_it_says_yes() {
    let begun = json!({ "loginUrl": "https://vendor.test/yes", "fingerprintHash": "h", "expiresAt": 7 });
    let user = json!({ "user": { "email": "buff@test", "authToken": "canary-access" } });
    let desk = Desk::new(
        "others",
        vec![
            ("POST /api/auth/cli/code", 200, begun),
            ("GET /api/auth/cli/status", 401, json!({})),
            ("GET /api/auth/cli/status", 200, user),
        ],
    );
    let (well, said) = desk.run(&["login", "codebuff", "--no-browser"], "");
    assert!(well && said.contains("https://vendor.test/yes") && said.contains("buff@test"), "{said}");
    let (well, said) = desk.run(&["login", "command-code"], "user_canary-access\n");
    assert!(well, "{said}");
    let (_, listed) = desk.run(&["accounts"], "");
    assert!(listed.contains("buff@test") && listed.contains("command-code"), "{listed}");
}

#[test]
fn a_device_logs_in_by_a_code() {
    let begun = json!({ "device_auth_id": "d", "user_code": "AB-CD", "interval": "0" });
    let done = json!({ "authorization_code": "the-code", "code_verifier": "canary-secret" });
    // The claims say `{"email":"me@test"}`.
    let tokens = json!({
        "access_token": "canary-access", "refresh_token": "canary-refresh", "expires_in": 3600,
        "id_token": "e30.eyJlbWFpbCI6Im1lQHRlc3QifQ.s",
    });
    let desk = Desk::new(
        "device",
        vec![
            ("deviceauth/usercode", 200, begun),
            ("deviceauth/token", 403, json!({})),
            ("deviceauth/token", 200, done),
            ("POST /token", 200, tokens),
        ],
    );
    let (well, said) = desk.run(&["login", "chatgpt", "--no-browser"], "");
    assert!(well && said.contains("AB-CD") && said.contains("/codex/device"), "{said}");
    assert!(said.contains("logged in me@test"), "{said}");
    let exchange = desk.service.requests()[3].text.clone();
    assert!(exchange.contains("code=the-code") && exchange.contains("deviceauth%2Fcallback"), "{exchange}");
}

#[test]
fn a_client_that_leaves_stops_no_refresh() {
    let newer =
        json!({ "access_token": "canary-newer", "refresh_token": "canary-refresh", "expires_in": 3600 });
    let desk = Desk::new("leaves", vec![("POST /token", 200, newer)]);
    desk.keep("google", 1);
    let account = accounts::load(Login::Google, &desk.places()).accounts.remove(0);
    desk.runtime.block_on(async {
        // Polled, so that the refresh begins; then dropped, as a turn whose client has gone.
        let mut leaving = Box::pin(account.credential(now()));
        let begun = std::future::poll_fn(|cx| Poll::Ready(leaving.as_mut().poll(cx).is_pending()));
        assert!(begun.await, "it has to be waited for");
        drop(leaving);
        let started_at = std::time::Instant::now();
        while account.state(now()).state != "ok" && started_at.elapsed() < WAIT_TIMEOUT {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    assert!(std::fs::read_to_string(account_file(&desk.dir)).expect("read").contains("canary-newer"));
}

#[test]
fn a_dead_login_is_asked_for_once_and_a_token_that_ends_soon_stalls_nobody() {
    let dead = ("POST /token", 400, json!({ "error": "invalid_grant" }));
    let desk = Desk::new("dead", vec![dead]);
    desk.keep("google", 1);
    let account = accounts::load(Login::Google, &desk.places()).accounts.remove(0);
    let failures: Vec<String> = (0..3)
        .map(|_| desk.runtime.block_on(account.credential(now())).expect_err("dead").to_string())
        .collect();
    assert!(failures.iter().all(|words| words.contains("latimer login google")), "{failures:?}");
    assert_eq!(desk.service.requests().len(), 1, "not asked again");
    assert_eq!(account.state(now()).state, "needs_login");

    // Good for a minute yet: it is used, though nobody answers at the token endpoint.
    desk.keep("google", now() + 60);
    let account = accounts::load(Login::Google, &desk.places()).accounts.remove(0);
    let credential = desk.runtime.block_on(account.credential(now())).expect("still good");
    assert_eq!(credential.secret.expose(), "canary-access");
}

#[test]
fn a_vendors_account_is_refreshed_once_and_its_file_left_alone() {
    let newer = json!({ "access_token": "canary-newer", "expires_in": 3600 });
    let desk = Desk::new("vendor", vec![("POST /token", 200, newer)]);
    let home = desk.dir.join("home");
    latimer_files::prepare(&home.join(".gemini")).expect("made");
    let file = home.join(".gemini/oauth_creds.json");
    let text = r#"{"access_token":"canary-access","refresh_token":"canary-refresh","expiry_date":1000}"#;
    latimer_files::write(&file, text.as_bytes()).expect("written");
    for _ in 0..2 {
        // A new process each time.
        let places = Arc::new(Places::new(desk.dir.join("state"), Some(home.clone()), |_| None));
        let account = accounts::load(Login::Google, &places).accounts.remove(0);
        let credential = desk.runtime.block_on(account.credential(now())).expect("a credential");
        assert_eq!(credential.secret.expose(), "canary-newer");
    }
    assert_eq!(desk.service.requests().len(), 1, "the second found what the first kept");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
}

#[test]
fn a_missing_client_id_is_named() {
    let dir = folder("no-client");
    let mut command = latimer();
    command
        .args(["login", "antigravity", "--state-dir"])
        .arg(dir.join("state"))
        .env("HOME", dir.join("home"));
    let output = support::output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success()
            && said.contains("LATIMER_ANTIGRAVITY_CLIENT_ID")
            && said.contains("oauth-clients.json"),
        "{said}"
    );
}

#[test]
fn one_refresher_for_all() {
    let newer = json!({ "access_token": "canary-newer", "expires_in": 3600 });
    let desk = Desk::new("refresh", vec![token(1), user(), ("POST /token", 200, newer)]);
    let mut child = desk.command(&["login", "google"]).spawn().expect("latimer runs");
    let (url, _out) = address(&mut child);
    browse(&format!("{}?code=c&state={}", field(&url, "redirect_uri"), field(&url, "state")));
    assert!(child.wait().expect("ended").success());
    // Two loads are like two processes: they share nothing but the files.
    let accounts: Vec<_> =
        (0..2).map(|_| accounts::load(Login::Google, &desk.places()).accounts.remove(0)).collect();
    let all = desk.runtime.block_on(async {
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let account = Arc::clone(&accounts[number % 2]);
                tokio::spawn(async move { account.credential(now() + 2).await })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.expect("joined").expect("a credential"));
        }
        all
    });
    assert!(all.iter().all(|credential| credential.secret.expose() == "canary-newer"));
    let asked = desk
        .service
        .requests()
        .iter()
        .filter(|requests| requests.text.contains("grant_type=refresh_token"))
        .count();
    assert_eq!(asked, 1, "exactly one refresh");
    let written = std::fs::read_to_string(account_file(&desk.dir)).expect("read");
    assert!(
        written.contains("canary-newer") && written.contains("canary-refresh"),
        "the old refresh token is kept"
    );
}

#[test]
fn an_endpoint_uses_accounts_and_moves_on() {
    let answers = [
        ScriptedAnswer::error(401, json!({ "error": { "message": "expired" } })),
        ScriptedAnswer::text("hello"),
    ];
    let mut harness = Harness::configured("accounts", answers, "", "api_key = []\nlogin = \"codebuff\"");
    for (id, secret) in [("a@test", "token-a"), ("b@test", "token-b")] {
        let tokens = accounts::file::Tokens {
            id: id.into(),
            access: Secret::new(secret),
            refresh: None,
            expires_at: None,
            project: None,
        };
        let path = accounts::file::path(&harness.dir.join("state"), Login::Codebuff, id);
        accounts::file::write(&path, Login::Codebuff, &tokens).expect("written");
    }
    let broken = accounts::file::folder(&harness.dir.join("state"), Login::Codebuff).join("broken.json");
    latimer_files::write(&broken, b"{\"id\":\"c").expect("written");
    harness.restart();
    let answer = harness.post(r#"{"model":"glm-5","input":"hello"}"#, "");
    assert_eq!(status(&answer), 200, "{answer}");
    let sent: Vec<String> = harness
        .requests()
        .iter()
        .filter_map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0], sent[1], "the second account was used after the first was refused");
    let document = harness.http(&harness.get("/v1/accounts"), b"");
    assert!(
        document.contains("a@test") && document.contains("b@test") && document.contains("half written"),
        "{document}"
    );
    assert!(document.contains("\"rate_limited\":true") && !document.contains("token-"), "{document}");
    assert_eq!(std::fs::read_to_string(&broken).expect("left"), "{\"id\":\"c");
}
