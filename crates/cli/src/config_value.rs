//! Values in the configuration file: as a person types them, and put in their place, with comments and order as they were.

use anyhow::{Context as _, bail, ensure};
use latimer_protocol::printable::is_harmful;
use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

use crate::config_key::{KeyPath, Meaning, PathStep};

/// The field by which an entry of a list goes.
fn name_field(list: &str) -> Option<&'static str> {
    match list {
        "endpoint" | "route" | "profile" => Some("name"),
        "models" => Some("id"),
        _ => None,
    }
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
        let PathStep::Name(name) = step else { bail!("`{path}` names no key") };
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
fn entry_of<'d>(item: &'d mut Item, list: &str, step: &PathStep) -> anyhow::Result<&'d mut dyn TableLike> {
    let names = names_in(item, list);
    let place = match step {
        PathStep::Place(place) => *place,
        PathStep::Name(name) => names.iter().position(|known| known == name).with_context(|| {
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
