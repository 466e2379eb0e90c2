//! Where commands learn of turns: from the running proxy, else from what it left on the disk.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use latimer_protocol::status::{TurnPage, TurnReport};
use latimer_proxy::store::FILE;
use latimer_proxy::store::engine::Engine as _;
use latimer_proxy::store::postgres::PostgresStore;
use latimer_proxy::store::reader::{page_of_file, turn_of_file};
use latimer_proxy::store::turn_rows::TurnQuery;

use crate::configuration::PathArgs;
use crate::proxy_client::{self, ProvenProxy};
use crate::shared_store::shared_view;
use crate::terminal::eprint_line;

/// The running proxy of a state directory, or its files.
pub(crate) struct TurnSource {
    proxy: Option<ProvenProxy>,
    file: PathBuf,
    shared: Option<Arc<PostgresStore>>,
}

impl TurnSource {
    /// Looks for the running proxy; without one the files are read.
    ///
    /// # Errors
    /// There is no state directory, or neither a proxy nor a file.
    pub(crate) fn find(paths: &PathArgs) -> anyhow::Result<Self> {
        let state_dir = paths.state_dir()?;
        let file = state_dir.join(FILE);
        let config = paths.configuration_or_default()?;
        let proxy = match proxy_client::find(&state_dir, &config) {
            Ok(proxy) => proxy,
            Err(problem) if file.exists() => {
                eprint_line(&format!("latimer: {problem:#}"));
                None
            }
            Err(problem) => return Err(problem),
        };
        let shared = if proxy.is_none() { shared_view(&config, &state_dir)? } else { None };
        if proxy.is_none() && shared.is_none() && !file.exists() {
            return Err(proxy_client::nobody(&config));
        }
        Ok(Self { proxy, file, shared })
    }

    /// A page of turns.
    ///
    /// # Errors
    /// Neither the proxy nor the file answers.
    pub(crate) fn page(&self, wanted: &TurnQuery) -> anyhow::Result<TurnPage> {
        if let Some(shared) = &self.shared {
            return Ok(shared.page(wanted)?);
        }
        let Some(proxy) = &self.proxy else {
            return page_of_file(&self.file, wanted)
                .with_context(|| format!("reading `{}`", self.file.display()));
        };
        let body = Self::get(proxy, &format!("/api/v1/turns?{}", parameters(wanted)))?;
        let body = body.context("the proxy knows no turns; it is of an older latimer, restart it")?;
        serde_json::from_slice(&body).context("reading the answer")
    }

    /// Everything that is known of a turn; `None` for one that nobody remembers.
    ///
    /// # Errors
    /// Neither the proxy nor the file answers.
    pub(crate) fn turn(&self, id: &str) -> anyhow::Result<Option<TurnReport>> {
        if let Some(shared) = &self.shared {
            return Ok(shared.turn(id)?);
        }
        let Some(proxy) = &self.proxy else {
            return turn_of_file(&self.file, id)
                .with_context(|| format!("reading `{}`", self.file.display()));
        };
        let body = Self::get(proxy, &format!("/api/v1/turns/{}", encoded(id)))?;
        body.map(|body| serde_json::from_slice(&body).context("reading the answer")).transpose()
    }

    /// The body of an answer; `None` for what is not there.
    fn get(proxy: &ProvenProxy, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match proxy.get(path) {
            Some((200, body)) => Ok(Some(body)),
            Some((404, _)) => Ok(None),
            Some((status, _)) => {
                bail!("the proxy answered with {status}; is it one of another state directory?")
            }
            None => bail!("the proxy at {} has stopped meanwhile; start one with `latimer serve`", proxy.url),
        }
    }
}

/// The parameters of `GET /api/v1/turns`.
pub(crate) fn parameters(wanted: &TurnQuery) -> String {
    let mut pairs = vec![format!("limit={}", wanted.limit)];
    pairs.extend(wanted.before.map(|before| format!("before={before}")));
    pairs.extend(wanted.after.map(|after| format!("after={after}")));
    for (name, value) in [("client", &wanted.client), ("endpoint", &wanted.endpoint)] {
        pairs.extend(value.as_deref().map(|value| format!("{name}={}", encoded(value))));
    }
    if !wanted.filter.is_empty() {
        pairs.push(format!("filter={}", encoded(&wanted.filter)));
    }
    if wanted.errors {
        pairs.push("errors=1".to_owned());
    }
    pairs.join("&")
}

/// A value as it stands in a URL.
pub(crate) fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_travels_in_the_address() {
        let wanted = TurnQuery {
            limit: 5,
            after: Some(7),
            client: Some("a b&c".to_owned()),
            errors: true,
            ..TurnQuery::default()
        };
        assert_eq!(parameters(&wanted), "limit=5&after=7&client=a%20b%26c&errors=1");
        assert_eq!(encoded("t2-7/ä"), "t2-7%2F%C3%A4");
    }
}
