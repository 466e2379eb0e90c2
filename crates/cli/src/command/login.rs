//! `latimer login`: an account for an endpoint.

mod device;

use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use latimer_adapters::auth::flow::{self, AuthorizationResponse};
use latimer_adapters::auth::pkce::Pkce;
use latimer_adapters::auth::provider::{self, LoginProvider};
use latimer_adapters::auth::token::Token;
use latimer_adapters::transport::read_error_body;
use latimer_protocol::secret::Secret;
use latimer_proxy::accounts::file::{self, Tokens};
use latimer_proxy::accounts::{Places, clients, lock, refresh};
use latimer_proxy::config::{Login, state};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::accounts::named;
use crate::browser;
use crate::setup;

/// Where Codebuff logs people in.
const CODEBUFF: &str = "https://www.codebuff.com";
/// How often Codebuff is asked whether the person said yes.
const POLL: Duration = Duration::from_secs(2);
/// How long the browser may take to say what it wants.
const HEAD: Duration = Duration::from_secs(5);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer login google\n  latimer login anthropic --no-browser     paste the code that the page shows\n  latimer login command-code               asks for the key; it is never an argument\n\nClient ids of providers are not built in: see the message when one is missing."
)]
pub(crate) struct Args {
    /// google, antigravity, codebuff, anthropic, command-code or chatgpt
    login: String,
    /// Open no browser: print the address, and read the code or the whole address that comes back from stdin
    #[arg(long)]
    no_browser: bool,
    /// How long to wait for the person, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    #[command(flatten)]
    places: setup::Places,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let login = named(&args.login)?;
    let state_dir = args.places.state()?;
    let places = setup::accounts(&state_dir);
    let tokens = match login {
        Login::CommandCode => key()?,
        Login::Codebuff => setup::runtime()?.block_on(codebuff(args, &places))?,
        _ => {
            let provider = provider::find(login.name()).context("this login has no address")?;
            setup::runtime()?.block_on(oauth(args, login, provider, &places))?
        }
    };
    let path = file::path(&state_dir, login, &tokens.id);
    // A refresh of the same account may be under way in a running proxy: its token must not overwrite this one.
    let locked = lock::take_blocking(&path);
    let _lock = locked.with_context(|| format!("locking `{}`", path.display()))?;
    file::write(&path, login, &tokens).with_context(|| format!("writing `{}`", path.display()))?;
    setup::say(&format!("logged in {} at {}", tokens.id, args.login))?;
    Ok(ExitCode::SUCCESS)
}

/// A key, read from stdin: arguments can be seen by everybody on the machine.
fn key() -> anyhow::Result<Tokens> {
    setup::complain("paste the API key (it begins with `user_`), then press Enter:");
    let key = Secret::new(line()?);
    Ok(Tokens {
        id: unnamed(Login::CommandCode, &key),
        access: key,
        refresh: None,
        expires_at: None,
        project: None,
    })
}

/// What an account is called whose provider does not say: two of them stay two.
fn unnamed(login: Login, secret: &Secret) -> String {
    let fingerprint = secret.fingerprint();
    format!("{}-{}", login.name(), fingerprint.get(..6).unwrap_or(&fingerprint))
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("reading stdin")?;
    let line = line.trim();
    if line.is_empty() {
        bail!("nothing was given");
    }
    Ok(line.to_owned())
}

async fn oauth(
    args: &Args,
    login: Login,
    provider: &'static LoginProvider,
    places: &Arc<Places>,
) -> anyhow::Result<Tokens> {
    let registered = clients::find(provider, places).map_err(anyhow::Error::msg)?;
    if let Some(device) = provider.device.filter(|_| args.no_browser) {
        let base = clients::base_url(provider.name, device.base_url, places).map_err(anyhow::Error::msg)?;
        let token = device::login(args.timeout, login, provider, &base, &registered, places).await?;
        return Ok(account(login, token, None));
    }
    let pkce = Pkce::new(random()?);
    let state = state::random_secret().context("randomness of the system")?;
    let state = state.expose();
    let patience = Duration::from_secs(args.timeout);
    let shown = provider.shown_redirect.filter(|_| args.no_browser);
    let listener = if shown.is_some() { None } else { Some(listen(provider).await?) };
    let redirect = match (&listener, shown) {
        (Some(listener), _) => {
            let port = listener.local_addr().context("the listener's address")?.port();
            format!("http://{}:{port}{}", provider.redirect_host, provider.redirect_path)
        }
        (None, shown) => shown.unwrap_or_default().to_owned(),
    };
    let url =
        flow::authorize_url(&registered.authorize_url, provider, &registered.client, &redirect, state, &pkce);
    setup::say(&format!("open this address and say yes:\n\n{url}\n"))?;
    let code = if args.no_browser {
        setup::complain("then paste the code, or the whole address the browser ends at:");
        pasted(state, patience).await?
    } else {
        browser::open(&url);
        let listener = listener.context("no address to come back to")?;
        tokio::time::timeout(patience, wait_for_browser(&listener, provider.redirect_path, state))
            .await
            .with_context(|| format!("nobody came back within {} seconds", args.timeout))??
    };
    let body = flow::code_exchange_body(provider, &registered.client, &redirect, &code, state, &pkce);
    let token =
        refresh::ask(places, &registered.token_url, flow::content_type(provider), body, login).await?;
    let who =
        if token.email.is_some() { None } else { who(places, registered.user_url.as_deref(), &token).await };
    Ok(account(login, token, who))
}

/// A token, as it is kept.
fn account(login: Login, token: Token, who: Option<String>) -> Tokens {
    let name = token.email.or(who).or_else(|| token.account.clone());
    Tokens {
        id: name.unwrap_or_else(|| unnamed(login, token.refresh.as_ref().unwrap_or(&token.access))),
        access: token.access,
        refresh: token.refresh,
        expires_at: Some(now().saturating_add(token.life.as_secs())),
        project: token.account,
    }
}

async fn listen(provider: &LoginProvider) -> anyhow::Result<TcpListener> {
    let port = provider.redirect_port.unwrap_or(0);
    TcpListener::bind(("127.0.0.1", port)).await.with_context(|| {
        format!("listening on 127.0.0.1:{port}, where this provider insists on coming back to; is another login running?")
    })
}

/// The code a person pasted.
async fn pasted(state: &str, patience: Duration) -> anyhow::Result<String> {
    let (send, receive) = tokio::sync::oneshot::channel();
    // A thread of its own: a read of a terminal cannot be taken back, and nobody waits for this one at the end.
    std::thread::spawn(move || send.send(line()));
    let read = tokio::time::timeout(patience, receive).await;
    let line =
        read.with_context(|| format!("nothing was pasted within {} seconds", patience.as_secs()))???;
    match flow::parse_authorization_response(&line) {
        AuthorizationResponse::Code { state: Some(other), .. } if other != state => {
            bail!("this code belongs to another login; begin again")
        }
        AuthorizationResponse::Code { code, .. } => Ok(code),
        AuthorizationResponse::Denied(words) => bail!("the provider said no: {words}"),
        AuthorizationResponse::Unrelated => bail!("that is neither a code nor an address with one"),
    }
}

/// Answers requests until one of them brings the code.
async fn wait_for_browser(listener: &TcpListener, path: &str, state: &str) -> anyhow::Result<String> {
    loop {
        let (mut socket, _) = listener.accept().await.context("waiting for the browser")?;
        let Ok(Some(text)) = tokio::time::timeout(HEAD, head(&mut socket)).await else { continue };
        let target = text.split(' ').nth(1).unwrap_or_default();
        let is_ours = text.starts_with("GET ") && target.split('?').next() == Some(path);
        let (status, words, outcome) = match flow::parse_authorization_response(target) {
            _ if !is_ours => ("404 Not Found", "There is nothing here.", None),
            AuthorizationResponse::Code { code, state: Some(same) } if same == state => {
                ("200 OK", "You are logged in. This page can be closed.", Some(Ok(code)))
            }
            AuthorizationResponse::Code { .. } => (
                "400 Bad Request",
                "This answer belongs to another login.",
                Some(Err(anyhow::anyhow!("an answer with a wrong state came back; begin again"))),
            ),
            AuthorizationResponse::Denied(words) => (
                "400 Bad Request",
                "The login was refused. This page can be closed.",
                Some(Err(anyhow::anyhow!("the provider said no: {words}"))),
            ),
            AuthorizationResponse::Unrelated => ("404 Not Found", "There is nothing here.", None),
        };
        let page = format!("<!doctype html><meta charset=utf-8><title>latimer</title><p>{words}</p>\n");
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{page}",
            page.len()
        );
        let _ = socket.write_all(answer.as_bytes()).await;
        let _ = socket.shutdown().await;
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
}

/// A request's head, read to its end: it may come in pieces, and a browser that is answered before it has
/// said everything shows an error.
async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::with_capacity(2048);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > 16 * 1024 || socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Who the person is.
async fn who(places: &Places, url: Option<&str>, token: &Token) -> Option<String> {
    let bearer = format!("Bearer {}", token.access.expose()).parse().ok()?;
    let headers = vec![(hyper::header::AUTHORIZATION, bearer)];
    let answer = places.http().get(url?, &headers, PATIENCE).await.ok()?;
    let body = read_error_body(answer.body, 1 << 16, PATIENCE).await;
    let value: Value = serde_json::from_slice(&body).ok()?;
    value.get("email")?.as_str().map(str::to_owned)
}

/// Codebuff hands out an address, and is asked until the person said yes there.
async fn codebuff(args: &Args, places: &Arc<Places>) -> anyhow::Result<Tokens> {
    let base = clients::base_url("codebuff", CODEBUFF, places).map_err(anyhow::Error::msg)?;
    let fingerprint = uuid()?;
    let headers =
        vec![(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"))];
    let body = json!({ "fingerprintId": fingerprint }).to_string();
    let answer =
        places.http().post(&format!("{base}/api/auth/cli/code"), &headers, body.into(), PATIENCE).await?;
    let begun: Value = serde_json::from_slice(&read_error_body(answer.body, 1 << 16, PATIENCE).await)
        .context("Codebuff answered with something that is no JSON")?;
    let text = |name: &str| begun.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (url, hash) = (text("loginUrl"), text("fingerprintHash"));
    if url.is_empty() || hash.is_empty() {
        bail!("Codebuff began no login; try again later");
    }
    let ends =
        begun.get("expiresAt").map(|at| at.to_string().trim_matches('"').to_owned()).unwrap_or_default();
    setup::say(&format!("open this address and say yes:\n\n{url}\n"))?;
    if !args.no_browser {
        browser::open(&url);
    }
    let status = format!(
        "{base}/api/auth/cli/status?fingerprintId={fingerprint}&fingerprintHash={hash}&expiresAt={ends}"
    );
    let deadline = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    while tokio::time::Instant::now() < deadline {
        let answer = places.http().get(&status, &headers, PATIENCE).await?;
        let done = answer.status.is_success();
        let body = read_error_body(answer.body, 1 << 16, PATIENCE).await;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        let user = value.get("user").filter(|_| done);
        if let Some(token) = user.and_then(|user| user.get("authToken")).and_then(Value::as_str) {
            let name = ["email", "id"].iter().find_map(|name| user?.get(*name)?.as_str());
            let id = name.unwrap_or("codebuff").to_owned();
            return Ok(Tokens {
                id,
                access: Secret::new(token),
                refresh: None,
                expires_at: None,
                project: None,
            });
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("nobody said yes within {} seconds", args.timeout)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn random() -> anyhow::Result<[u8; 32]> {
    let secret = state::random_secret().context("randomness of the system")?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(secret.expose().as_bytes().chunks(2)) {
        let hex = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(hex, 16).unwrap_or(0);
    }
    Ok(bytes)
}

fn uuid() -> anyhow::Result<String> {
    let secret = state::random_secret().context("randomness of the system")?;
    let hex = secret.expose();
    Ok(format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]))
}
