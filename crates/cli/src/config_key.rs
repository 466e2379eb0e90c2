//! The path of a key of the configuration file, as commands take it and errors print it: `server.grace`, `endpoint.lab.retries`,
//! `endpoint[0].timeouts.idle`. An entry of a list goes by its name or its place.

use anyhow::{Context as _, bail, ensure};
use latimer_protocol::printable::is_harmful;
use latimer_protocol::secret::names_a_credential;
use latimer_proxy::config::schema::{self, Key};
use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 512;
/// What a name may hold without quotes.
const PLAIN: fn(char) -> bool = |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The name of a key, or of an entry of a list.
    Name(String),
    /// The place of an entry of a list, from 0.
    Place(usize),
}

/// The path of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPath {
    pub(crate) steps: Vec<Step>,
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
            Some(Step::Name(name)) => name,
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
                (Meaning::Entry(keys), Step::Name(name)) => Meaning::Known(self.find(keys, name, at)?),
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

    fn below(&self, key: &'static Key, step: &Step, at: usize) -> anyhow::Result<Meaning> {
        if key.name == "headers" {
            return Ok(Meaning::Header);
        }
        let keys = tables_below(key)
            .with_context(|| format!("`{}` is {} and has no keys below it", self.up_to(at), key.kind))?;
        match step {
            _ if is_list(key) => Ok(Meaning::Entry(keys)),
            Step::Name(name) => self.find(keys, name, at).map(Meaning::Known),
            Step::Place(_) => bail!("`{}` is no list", self.up_to(at)),
        }
    }

    fn find(&self, keys: &'static [Key], name: &str, at: usize) -> anyhow::Result<&'static Key> {
        keys.iter().find(|key| key.name == name).with_context(|| {
            let names = keys.iter().map(|key| key.name);
            let place = if at == 0 { String::new() } else { format!(" in `{}`", self.up_to(at)) };
            match schema::nearest(name, names.clone()) {
                Some(meant) => format!("there is no key `{name}`{place}; did you mean `{meant}`?"),
                None => {
                    let names: Vec<&str> = names.collect();
                    format!("there is no key `{name}`{place}; there are: {}", names.join(", "))
                }
            }
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
                Step::Place(place) => write!(f, "[{place}]")?,
                Step::Name(name) => {
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
fn first_step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (place, rest) = rest.split_once(']')?;
        return Some((Step::Place(place.parse().ok()?), rest));
    }
    if let Some(rest) = text.strip_prefix('"') {
        let (name, rest) = rest.split_once('"')?;
        let ends = rest.is_empty() || rest.starts_with(['.', '[']);
        return ends.then(|| (Step::Name(name.to_owned()), rest));
    }
    let end = text.find(|c| !PLAIN(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let ends = rest.is_empty() || rest.starts_with(['.', '[']);
    (!name.is_empty() && ends).then(|| (Step::Name(name.to_owned()), rest))
}

/// Whether a key holds a list whose entries are tables.
pub(crate) fn is_list(key: &Key) -> bool {
    matches!(key.name, "endpoint" | "route" | "profile")
        || matches!((key.name, key.kind), ("models" | "targets", "list"))
}

/// The field by which an entry of a list goes.
fn name_field(list: &str) -> Option<&'static str> {
    match list {
        "endpoint" | "route" | "profile" => Some("name"),
        "models" => Some("id"),
        _ => None,
    }
}

/// The keys that may stand below a key: of the table that it holds, or of each entry of its list.
pub(crate) fn tables_below(key: &Key) -> Option<&'static [Key]> {
    Some(match (key.name, key.kind) {
        ("server", _) => &schema::SERVER,
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

/// The table in which the last name of a path stands, made where it is missing. Entries of lists must be there.
///
/// # Errors
/// There is no such entry, or something else stands there.
pub(crate) fn table_of<'d>(
    root: &'d mut dyn TableLike,
    path: &KeyPath,
) -> anyhow::Result<&'d mut dyn TableLike> {
    let mut table = root;
    let mut steps = path.steps.iter().take(path.steps.len().saturating_sub(1)).peekable();
    let mut is_inline = false;
    while let Some(step) = steps.next() {
        let Step::Name(name) = step else { bail!("`{path}` names no key") };
        let is_list = matches!(name.as_str(), "endpoint" | "route" | "profile" | "models" | "targets")
            && steps.peek().is_some();
        if is_list {
            let entry = steps.next().context("the entry")?;
            let item = table.get_mut(name).with_context(|| format!("there is no `{name}` in the file"))?;
            table = entry_of(item, name, entry)?;
            is_inline = true;
            continue;
        }
        let empty = if is_inline {
            Item::Value(Value::InlineTable(InlineTable::new()))
        } else {
            Item::Table(Table::new())
        };
        let below = table.entry(name).or_insert(empty).as_table_like_mut();
        table = below.with_context(|| format!("`{name}` of `{path}` is no table in the file"))?;
    }
    Ok(table)
}

/// One entry of a list, by its name or its place. A model that is only a name becomes a table.
fn entry_of<'d>(item: &'d mut Item, list: &str, step: &Step) -> anyhow::Result<&'d mut dyn TableLike> {
    let names = names_in(item, list);
    let place = match step {
        Step::Place(place) => *place,
        Step::Name(name) => names.iter().position(|known| known == name).with_context(|| {
            format!("no {} is called `{name}`; there are: {}", singular(list), names.join(", "))
        })?,
    };
    let missing = || format!("there are {} entries in `{list}`, and the first is [0]", names.len());
    match item {
        Item::ArrayOfTables(tables) => {
            let table = tables.get_mut(place).with_context(missing)?;
            Ok(table as &mut dyn TableLike)
        }
        Item::Value(Value::Array(array)) => {
            let value = array.get_mut(place).with_context(missing)?;
            if let (Value::String(name), Some(field)) = (&*value, name_field(list)) {
                let mut table = InlineTable::new();
                table.insert(field, Value::from(name.value().clone()));
                let decor = value.decor().clone();
                *value = Value::InlineTable(table);
                *value.decor_mut() = decor;
            }
            let table = value.as_inline_table_mut();
            Ok(table.with_context(|| format!("an entry of `{list}` is no table"))? as &mut dyn TableLike)
        }
        _ => bail!("`{list}` is no list in the file"),
    }
}

/// What the entries of a list are called; an empty text for one without a name.
pub(crate) fn names_in(item: &Item, list: &str) -> Vec<String> {
    let Some(field) = name_field(list) else { return Vec::new() };
    let of_value = |value: &Value| {
        let name = value.as_str().or_else(|| value.as_inline_table()?.get(field)?.as_str());
        name.unwrap_or_default().to_owned()
    };
    match item {
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| table.get(field).and_then(Item::as_str).unwrap_or_default().to_owned())
            .collect(),
        Item::Value(Value::Array(array)) => array.iter().map(of_value).collect(),
        _ => Vec::new(),
    }
}

fn singular(list: &str) -> &str {
    list.strip_suffix('s').unwrap_or(list)
}

/// A value as a person types it: by what the key holds, so that no text needs quotes and no number becomes a text.
///
/// # Errors
/// It is not what the key holds.
pub(crate) fn value_of(meaning: Meaning, typed: &str) -> anyhow::Result<Value> {
    ensure!(
        !typed.chars().any(|c| is_harmful(c) && c != '\n'),
        "the value holds characters that a terminal would obey"
    );
    let parsed = || typed.trim().parse::<Value>();
    let kind = match meaning {
        Meaning::Known(key) => key.kind,
        Meaning::Header => "string",
        Meaning::Watchdog => return Ok(parsed().unwrap_or_else(|_| Value::from(typed))),
        Meaning::Entry(_) => bail!(
            "name one of its keys; an entry is added by `latimer endpoints add`, or `latimer config edit`"
        ),
    };
    let is_array = typed.trim_start().starts_with('[');
    match kind {
        "true or false" => match typed.trim() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => bail!("should be true or false"),
        },
        "number" => {
            let number = parsed().ok().filter(|value| value.is_integer() || value.is_float());
            number.context("should be a number")
        }
        "table" => {
            let table = parsed().ok().filter(Value::is_inline_table);
            table.context("should be a table, such as { idle = \"300s\" }; or name one of its keys")
        }
        "list of tables" => bail!("name an entry and one of its keys"),
        _ if is_array && kind.contains("list") => {
            parsed().map_err(|error| anyhow::anyhow!("is no list: {}", error.to_string().trim()))
        }
        _ if kind.starts_with("list") => {
            let words = typed.split(',').map(str::trim).filter(|word| !word.is_empty());
            Ok(Value::Array(words.collect::<Array>()))
        }
        _ if typed.starts_with('"') => {
            parsed().map_err(|error| anyhow::anyhow!("is no text: {}", error.to_string().trim()))
        }
        _ => Ok(Value::from(typed)),
    }
}

/// Puts a value into a table; what stood beside the old one, such as a comment, stays.
pub(crate) fn put(table: &mut dyn TableLike, name: &str, mut value: Value) {
    match table.get_mut(name) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => {
            table.insert(name, Item::Value(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    fn path(text: &str) -> KeyPath {
        KeyPath::parse(text).expect(text)
    }

    #[test]
    fn a_path_is_read_as_errors_print_it() {
        for text in [
            "server.grace",
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

    #[test]
    fn a_value_is_what_its_key_holds() {
        let of = |key: &str, typed: &str| {
            value_of(path(key).meaning().expect(key), typed)
                .map(|value| value.to_string())
                .unwrap_or_default()
        };
        assert_eq!(of("launch.model", "5"), "\"5\"");
        assert_eq!(of("endpoint.a.retries", "5"), "5");
        assert_eq!(of("endpoint.a.retries", "five"), "");
        assert_eq!(of("server.websocket", "true"), "true");
        assert_eq!(of("server.websocket", "yes"), "");
        assert_eq!(of("endpoint.a.models", "one, two"), "[\"one\", \"two\"]");
        assert_eq!(of("endpoint.a.models", "[\"one\"]"), "[\"one\"]");
        assert_eq!(of("endpoint.a.timeouts", "{ idle = \"1s\" }"), "{ idle = \"1s\" }");
        assert_eq!(of("watchdog.tier3", "false"), "false");
        assert_eq!(of("watchdog.notify", "none"), "\"none\"");
        assert_eq!(of("launch.model", "a\u{1b}[2J"), "");
    }

    #[test]
    fn a_value_is_put_in_its_place_and_its_comment_stays() {
        let text = "# top\n[[endpoint]]\nname = \"a\"\nretries = 1 # few\nmodels = [\n  \"m\", # first\n]\n";
        let mut document: DocumentMut = text.parse().expect("TOML");
        for (key, value) in [
            ("endpoint.a.retries", "2"),
            ("endpoint.a.timeouts.idle", "9s"),
            ("endpoint.a.models.m.context_window", "100"),
            ("server.grace", "1s"),
        ] {
            let path = path(key);
            let value = value_of(path.meaning().expect(key), value).expect(key);
            put(table_of(document.as_table_mut(), &path).expect(key), path.last(), value);
        }
        let want = "# top\n[[endpoint]]\nname = \"a\"\nretries = 2 # few\nmodels = [\n  { id = \"m\", context_window = 100 }, # first\n]\ntimeouts = { idle = \"9s\" }\n\n[server]\ngrace = \"1s\"\n";
        assert_eq!(document.to_string(), want);
        let error =
            table_of(document.as_table_mut(), &path("endpoint.b.retries")).err().expect("none").to_string();
        assert_eq!(error, "no endpoint is called `b`; there are: a");
    }
}
