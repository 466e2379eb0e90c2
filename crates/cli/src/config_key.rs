//! The path of a key of the configuration file, as commands take it and errors print it: `server.grace`, `endpoint.lab.retries`,
//! `endpoint[0].timeouts.idle`. An entry of a list goes by its name or its place.

use anyhow::{Context as _, bail, ensure};
use latimer_protocol::printable::is_harmful;
use latimer_protocol::secret::names_a_credential;
use latimer_proxy::config::schema::{self, Key};

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 512;
/// What a name may hold without quotes.
const PLAIN: fn(char) -> bool = |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');

/// A name or a place on the way from the top of the file to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// The name of a key, or of an entry of a list.
    Name(String),
    /// The place of an entry of a list, from 0.
    Place(usize),
}

/// From the top of the file to a key or an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPath {
    pub(crate) steps: Vec<PathStep>,
}

/// What stands at a path, by the tables of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A key that the tables know.
    Known(&'static Key),
    /// An entry of a list, with the keys that it may have.
    Entry(&'static [Key]),
    /// A header of an endpoint.
    Header,
    /// A key of the watchdog's part, which the watchdog checks by itself.
    Watchdog,
}

impl KeyPath {
    /// Reads a path. Names with a dot or a slash stand in quotes: `endpoint."my.lab".retries`.
    ///
    /// # Errors
    /// It is no path.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        ensure!(
            text.len() <= MAX_PATH_BYTES && !text.chars().any(is_harmful),
            "this is no name of a key: it is too long, or holds characters that cannot be seen"
        );
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = first_step(rest).with_context(|| {
                format!("`{text}` is no name of a key; write it like endpoint.lab.retries")
            })?;
            steps.push(step);
            rest = match after.strip_prefix('.') {
                Some("") => bail!("`{text}` ends with a dot; a name is missing behind it"),
                Some(next) => next,
                None => after,
            };
        }
        ensure!(!steps.is_empty(), "give the name of a key, such as server.grace or endpoint.lab.retries");
        Ok(Self { steps })
    }

    /// The path of the entry or the table above; `None` at the top.
    pub(crate) fn above(&self) -> Option<Self> {
        let (_, steps) = self.steps.split_last()?;
        (!steps.is_empty()).then(|| Self { steps: steps.to_vec() })
    }

    /// The last name; empty where an entry goes by its place.
    pub(crate) fn last(&self) -> &str {
        match self.steps.last() {
            Some(PathStep::Name(name)) => name,
            _ => "",
        }
    }

    /// What stands there, by the tables of keys.
    ///
    /// # Errors
    /// There is no such key; the nearest one, or all of them.
    pub(crate) fn meaning(&self) -> anyhow::Result<Meaning> {
        let mut meaning = Meaning::Entry(&schema::TOP);
        for (at, step) in self.steps.iter().enumerate() {
            meaning = match (meaning, step) {
                (Meaning::Watchdog, _) => Meaning::Watchdog,
                (Meaning::Entry(keys), PathStep::Name(name)) => Meaning::Known(self.find(keys, name, at)?),
                (Meaning::Known(key), step) => self.below(key, step, at)?,
                _ => bail!("`{}` has nothing below it", self.up_to(at)),
            };
            if matches!(meaning, Meaning::Known(key) if key.name == "watchdog") {
                meaning = Meaning::Watchdog;
            }
        }
        Ok(meaning)
    }

    /// Whether what stands there is a secret, which is never an argument.
    pub(crate) fn is_secret(&self) -> bool {
        let is_header = matches!(self.meaning(), Ok(Meaning::Header)) && names_a_credential(self.last());
        is_header || matches!(self.last(), "api_key" | "headers")
    }

    fn below(&self, key: &'static Key, step: &PathStep, at: usize) -> anyhow::Result<Meaning> {
        if key.name == "headers" {
            return Ok(Meaning::Header);
        }
        let keys = tables_below(key)
            .with_context(|| format!("`{}` is {} and has no keys below it", self.up_to(at), key.kind))?;
        match step {
            _ if is_list(key) => Ok(Meaning::Entry(keys)),
            PathStep::Name(name) => self.find(keys, name, at).map(Meaning::Known),
            PathStep::Place(_) => bail!("`{}` is no list", self.up_to(at)),
        }
    }

    fn find(&self, keys: &'static [Key], name: &str, at: usize) -> anyhow::Result<&'static Key> {
        keys.iter().find(|key| key.name == name).with_context(|| {
            let names = keys.iter().map(|key| key.name);
            let place = if at == 0 { String::new() } else { format!(" in `{}`", self.up_to(at)) };
            if let Some(meant) = schema::nearest(name, names.clone()) {
                return format!("there is no key `{name}`{place}; did you mean `{meant}`?");
            }
            let names: Vec<&str> = names.collect();
            format!("there is no key `{name}`{place}; there are: {}", names.join(", "))
        })
    }

    /// The first so many steps, as they are written.
    fn up_to(&self, count: usize) -> Self {
        Self { steps: self.steps.iter().take(count).cloned().collect() }
    }
}

impl std::fmt::Display for KeyPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                PathStep::Place(place) => write!(f, "[{place}]")?,
                PathStep::Name(name) => {
                    let dot = if at == 0 { "" } else { "." };
                    let is_plain = !name.is_empty() && name.chars().all(PLAIN);
                    let quote = if is_plain { "" } else { "\"" };
                    write!(f, "{dot}{quote}{name}{quote}")?;
                }
            }
        }
        Ok(())
    }
}

/// The first step of a path, and what follows it.
fn first_step(text: &str) -> Option<(PathStep, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (place, rest) = rest.split_once(']')?;
        return Some((PathStep::Place(place.parse().ok()?), rest));
    }
    if let Some(rest) = text.strip_prefix('"') {
        let (name, rest) = rest.split_once('"')?;
        let ends = rest.is_empty() || rest.starts_with(['.', '[']);
        return ends.then(|| (PathStep::Name(name.to_owned()), rest));
    }
    let end = text.find(|c| !PLAIN(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let ends = rest.is_empty() || rest.starts_with(['.', '[']);
    (!name.is_empty() && ends).then(|| (PathStep::Name(name.to_owned()), rest))
}

/// Whether a key holds a list whose entries are tables.
pub(crate) fn is_list(key: &Key) -> bool {
    matches!(key.name, "endpoint" | "route" | "profile")
        || matches!((key.name, key.kind), ("models" | "targets", "list"))
}

/// The keys that may stand below a key: of the table that it holds, or of each entry of its list.
pub(crate) fn tables_below(key: &Key) -> Option<&'static [Key]> {
    Some(match (key.name, key.kind) {
        ("server", _) => &schema::SERVER,
        ("store", _) => &schema::STORE,
        ("agents", _) => &schema::AGENTS,
        ("endpoint", "list of tables") => &schema::ENDPOINT,
        ("models", "list") => &schema::MODEL,
        ("price", _) => &schema::PRICE,
        ("timeouts", _) => &schema::TIMEOUTS,
        ("quirks", _) => &schema::QUIRKS,
        ("history", _) => &schema::HISTORY,
        ("options", _) => &schema::OPTIONS,
        ("launch", _) => &schema::LAUNCH,
        ("codex" | "claude" | "opencode" | "gemini", _) => &schema::LAUNCH_CLIENT,
        ("route", "list of tables") => &schema::ROUTE,
        ("targets", "list") => &schema::TARGET,
        ("profile", "list of tables") => &schema::PROFILE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> KeyPath {
        KeyPath::parse(text).expect(text)
    }

    #[test]
    fn a_path_is_read_as_errors_print_it() {
        for text in [
            "server.grace",
            "store.pool",
            "endpoint.lab.timeouts.idle",
            "endpoint[0].retries",
            "endpoint.\"my.lab\".models.\"z-ai/glm-5\".price.input",
        ] {
            assert_eq!(path(text).to_string(), text);
            assert!(path(text).meaning().is_ok(), "{text}");
        }
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a[x]",
            "a[-1]",
            "\"a",
            "a\"b\"",
            "../x",
            "a\u{1b}[2J",
            "a\nb",
        ] {
            assert!(KeyPath::parse(text).is_err(), "{text:?}");
        }
        assert!(KeyPath::parse(&"a".repeat(513)).is_err());
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = |text: &str| path(text).meaning().expect_err(text).to_string();
        assert!(error("sever.grace").contains("did you mean `server`?"));
        assert!(error("endpoint.lab.retires").contains("in `endpoint.lab`; did you mean `retries`?"));
        assert!(error("server.grace.x").contains("is duration and has no keys below it"));
        assert!(error("server.x").contains("there are: listen"));
        assert!(error("server[1]").contains("is no list"));
        assert_eq!(path("watchdog.diagnosis.endpoint").meaning().expect("free"), Meaning::Watchdog);
        assert_eq!(path("endpoint.lab.headers.x-team").meaning().expect("free"), Meaning::Header);
    }

    #[test]
    fn secrets_are_known_by_their_place() {
        for text in ["endpoint.lab.api_key", "endpoint[0].headers.x-api-key", "endpoint.lab.headers"] {
            assert!(path(text).is_secret(), "{text}");
        }
        for text in ["endpoint.lab.api_key_env", "endpoint.lab.headers.x-team", "server.auth"] {
            assert!(!path(text).is_secret(), "{text}");
        }
    }
}
