//! Connections from other machines: TLS, a proxy in front, what a load balancer asks, and leaving without a failed request.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latimer_adapters::scripted::ScriptedAnswer;
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::outbound::Outbound;

use crate::support::{Harness, folder, latimer_in, wait_until};

const TURN: &str = r#"{"model":"glm-5","input":"hi"}"#;

/// A certificate of the test CA and its key, as PEM files of these names.
pub(super) fn write_certificate(name: &str, dir: &Path) {
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/tests/tls");
    let read = |file: String| std::fs::read(from.join(file)).expect("a fixture");
    for (file, text) in [
        ("cert.pem", pem("CERTIFICATE", &read(format!("{name}.der")))),
        ("key.pem", pem("PRIVATE KEY", &read(format!("{name}.key.der")))),
    ] {
        std::fs::write(dir.join(format!("{file}.new")), text).expect("written");
        std::fs::rename(dir.join(format!("{file}.new")), dir.join(file)).expect("renamed");
    }
}

/// The status of a `GET /healthz` over TLS; `None` where the handshake fails.
fn over_tls(harness: &Harness) -> Option<u16> {
    let ca_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/tests/tls/ca.pem");
    let timeout = Duration::from_secs(20);
    let http =
        Http::new(HttpOptions { outbound: Outbound::Direct, connect: timeout, ca_file: Some(ca_file) });
    let url = format!("{}/healthz", harness.url.replacen("http://", "https://", 1));
    harness.runtime.block_on(http.get(&url, &[], timeout)).ok().map(|answer| answer.status.as_u16())
}

#[test]
fn tls_is_spoken_beside_plain_http_for_this_machine_and_a_renewed_certificate_counts() {
    let dir = folder("team-tls");
    write_certificate("elsewhere", &dir);
    let server = format!("tls = {{ cert = \"{0}/cert.pem\", key = \"{0}/key.pem\" }}", dir.display());
    let harness = Harness::inside(dir, [ScriptedAnswer::text("Hello.")], &server, "");
    assert!(harness.post(TURN, "").contains("Hello."), "this machine needs no TLS");
    let status = latimer_in(&harness.dir, &["status"]).output().expect("runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    assert_eq!(over_tls(&harness), None, "the certificate is another machine's");
    write_certificate("loopback", &harness.dir);
    wait_until("the renewed certificate counts", || over_tls(&harness) == Some(200));
    std::fs::write(harness.dir.join("cert.pem"), "no certificate").expect("written");
    wait_until("the broken one is said", || !harness.log_events("tls.renewal_refused").is_empty());
    assert_eq!(over_tls(&harness), Some(200), "and the old one stays");
}

#[test]
fn an_address_that_others_reach_is_refused_without_tls_or_a_proxy_in_front() {
    let dir = folder("team-exposed");
    let endpoint = "[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\n";
    for (server, args, words) in [
        ("listen = \"0.0.0.0:0\"", &[][..], "server.listen"),
        ("", &["--listen", "0.0.0.0:0"][..], "[server.tls]"),
        ("tls = { cert = \"/none.pem\", key = \"/none.key\" }", &[][..], "/none.pem"),
    ] {
        std::fs::write(dir.join("latimer.toml"), format!("[server]\n{server}\n{endpoint}")).expect("written");
        let mut all = vec!["serve"];
        all.extend(args);
        let output = latimer_in(&dir, &all).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{server} {args:?}: {said}");
    }
}

#[test]
fn a_trusted_proxy_says_under_which_name_it_was_asked() {
    let server = "behind_proxy = true\ntrusted_proxies = [\"127.0.0.0/8\"]\nhosts = [\"latimer.example\"]\nnode = \"a\"";
    let harness = Harness::configured("team-proxied", [ScriptedAnswer::text("Hello.")], server, "");
    let status = |host: &str, extra: &str| {
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nhost: {host}\r\n{extra}authorization: Bearer {}\r\nconnection: close\r\n\r\n",
            harness.token()
        );
        harness.http(&head, b"").split(' ').nth(1).map(str::to_owned)
    };
    let forwarded =
        "x-forwarded-host: latimer.example\r\nx-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\n";
    assert_eq!(status("backend", forwarded).as_deref(), Some("200"));
    assert_eq!(status("backend", "").as_deref(), Some("403"));
    assert_eq!(status("latimer.example", "x-forwarded-host: evil.test\r\n").as_deref(), Some("403"));
    assert!(harness.post(TURN, "").contains("Hello."));
    wait_until("the turn is in the log", || !harness.log_events("turn.done").is_empty());
    assert_eq!(harness.log_events("turn.done")[0]["node"], "a");
}

#[test]
fn a_load_balancer_sees_first_that_a_node_leaves() {
    let mut harness =
        Harness::configured("team-leave", [ScriptedAnswer::text("Hello.")], "drain_delay = \"5s\"", "");
    let probe = |harness: &Harness, path: &str| {
        harness.http(&format!("GET {path} HTTP/1.1\r\nhost: any.name:1\r\nconnection: close\r\n\r\n"), b"")
    };
    assert!(probe(&harness, "/readyz").contains("200 OK") && probe(&harness, "/healthz").contains("200 OK"));
    harness.signal("TERM");
    wait_until("it is said", || probe(&harness, "/readyz").contains("503 "));
    assert!(
        probe(&harness, "/readyz").contains("draining") && probe(&harness, "/healthz").contains("200 OK")
    );
    assert!(harness.post(TURN, "").contains("Hello."), "who did not see it is served");
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
    assert_eq!(harness.log_events("drain.announced").len(), 1);
}
