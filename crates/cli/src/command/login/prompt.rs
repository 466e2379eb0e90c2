//! What a person types or pastes during a login.

use std::io::BufRead;
use std::time::Duration;

use anyhow::{Context as _, bail};
use latimer_adapters::auth::flow::{AuthorizationResponse, parse_authorization_response};

/// A line from stdin.
///
/// # Errors
/// Stdin is closed, or the line is empty.
pub(super) fn read_line() -> anyhow::Result<String> {
    line_from(&mut std::io::stdin().lock())
}

fn line_from(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).context("reading stdin")?;
    let line = line.trim();
    if line.is_empty() {
        bail!("nothing was given");
    }
    Ok(line.to_owned())
}

/// The code a person pasted, alone or in an address; `state` is that of this login.
///
/// # Errors
/// Nothing is pasted in time, or what is pasted is no code of this login.
pub(super) async fn read_code(state: &str, timeout: Duration) -> anyhow::Result<String> {
    let (send, receive) = tokio::sync::oneshot::channel();
    // A thread of its own: a read of a terminal cannot be taken back, and nobody waits for this one at the end.
    std::thread::spawn(move || send.send(read_line()));
    let received = tokio::time::timeout(timeout, receive).await;
    let line =
        received.with_context(|| format!("nothing was pasted within {} seconds", timeout.as_secs()))???;
    code_from(&line, state)
}

fn code_from(line: &str, state: &str) -> anyhow::Result<String> {
    match parse_authorization_response(line) {
        AuthorizationResponse::Code { state: Some(other), .. } if other != state => {
            bail!("this code belongs to another login; begin again")
        }
        AuthorizationResponse::Code { code, .. } => Ok(code),
        AuthorizationResponse::Denied { words, .. } => bail!("the provider said no: {words}"),
        AuthorizationResponse::Unrelated => bail!("that is neither a code nor an address with one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_and_must_not_be_empty() {
        assert_eq!(line_from(&mut " key \n".as_bytes()).expect("a line"), "key");
        assert!(line_from(&mut "\n".as_bytes()).is_err());
    }

    #[test]
    fn an_address_must_be_one_of_this_login() {
        let address = "http://localhost:1/callback?code=the-code&state=mine";
        assert_eq!(code_from(address, "mine").expect("a code"), "the-code");
        let error = code_from(address, "another").expect_err("another login");
        assert!(error.to_string().contains("another login"), "{error}");
    }
}
