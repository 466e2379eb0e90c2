//! Two nodes behind the nginx of `deploy/compose`: a node that leaves costs no request, and the owner's paths stay inside.

use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use latimer_adapters::scripted::ScriptedAnswer;
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::outbound::Outbound;
use latimer_adapters::transport::read_error_body;

use super::exposure::write_certificate;
use crate::support::{Harness, folder, serve, wait_until};

const TIMEOUT: Duration = Duration::from_secs(30);
const SERVER: &str = "behind_proxy = true\ntrusted_proxies = [\"127.0.0.0/8\"]\ndrain_delay = \"3s\"\nhosts = [\"latimer.example\"]";

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The nginx of the compose file in front of these nodes, and where it listens; `None` where there is none on this machine.
fn nginx(dir: &Path, nodes: &[&str]) -> Option<(Running, String)> {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let text = include_str!("../../../../deploy/compose/nginx.conf");
    write_certificate("loopback", dir);
    let own = |path: &str| dir.join(path).display().to_string();
    let mut text = text
        .replace("443 ssl", &format!("127.0.0.1:{port} ssl"))
        .replace("/etc/nginx/tls", &dir.display().to_string())
        .replace(
            "http {",
            &format!("http {{ access_log off; client_body_temp_path {0}1; proxy_temp_path {0}2; fastcgi_temp_path {0}3; uwsgi_temp_path {0}4; scgi_temp_path {0}5;", own("temp")),
        );
    for (name, url) in ["node-a:4180", "node-b:4180", "node-c:4180"].iter().zip(nodes.iter().cycle()) {
        text = text.replace(name, url.trim_start_matches("http://"));
    }
    let conf: PathBuf = dir.join("nginx.conf");
    std::fs::write(&conf, text).expect("written");
    let child = Command::new("nginx")
        .arg("-e")
        .arg(own("nginx.log"))
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(&conf)
        .arg("-g")
        .arg(format!("daemon off; master_process off; pid {};", own("nginx.pid")))
        .stdin(Stdio::null())
        .spawn();
    match child {
        Ok(child) => Some((Running(child), format!("https://127.0.0.1:{port}"))),
        Err(error) => {
            eprintln!("skipped: nginx cannot be run ({error}); Debian has it in `nginx`");
            None
        }
    }
}

#[test]
fn a_node_that_leaves_costs_no_request() {
    let mut one = Harness::configured("team-nginx-a", [ScriptedAnswer::text("Hello.")], SERVER, "");
    let token = one.token();
    let dir = folder("team-nginx-b");
    std::fs::DirBuilder::new().mode(0o700).create(dir.join("state")).expect("made");
    std::fs::copy(one.dir.join("state/token"), dir.join("state/token")).expect("copied");
    std::fs::copy(one.dir.join("latimer.toml"), dir.join("latimer.toml")).expect("copied");
    let (child, other) = serve(&dir, &[]);
    let _other = Running(child);
    let Some((_nginx, front)) = nginx(&dir, &[&one.url, &other]) else { return };
    let ca_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/tests/tls/ca.pem");
    let http =
        Http::new(HttpOptions { outbound: Outbound::Direct, connect: TIMEOUT, ca_file: Some(ca_file) });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let headers: [(HeaderName, HeaderValue); 2] = [
        (AUTHORIZATION, format!("Bearer {token}").parse().expect("a header")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    let get = |path: &str| {
        let answer = runtime.block_on(http.get(&format!("{front}{path}"), &headers, TIMEOUT));
        answer.ok().map(|answer| answer.status.as_u16())
    };
    wait_until("nginx answers", || get("/v1/models") == Some(200));
    let turn = || {
        runtime.block_on(async {
            let body = bytes::Bytes::from_static(br#"{"model":"glm-5","input":"hi"}"#);
            let answer = http
                .post(&format!("{front}/v1/responses"), &headers, body, TIMEOUT)
                .await
                .expect("an answer");
            (
                answer.status.as_u16(),
                String::from_utf8_lossy(&read_error_body(answer.body, 1 << 20, TIMEOUT).await).into_owned(),
            )
        })
    };
    for path in ["/metrics", "/ui/", "/api/v1/turns", "/v1/admin/overrides", "/v1/accounts", "/watchdog"] {
        assert_eq!(get(path), Some(404), "{path}");
    }
    let mut turns = 0;
    let mut ask = || {
        let (status, body) = turn();
        assert!(status == 200 && body.contains("Hello."), "{status} {body}");
        turns += 1;
    };
    (0..6).for_each(|_| ask());
    one.signal("TERM");
    // As long as it leaves, and after that.
    while one.proxy.try_wait().expect("looked at").is_none() {
        ask();
    }
    (0..6).for_each(|_| ask());
    assert!(turns >= 12, "{turns}");
}
