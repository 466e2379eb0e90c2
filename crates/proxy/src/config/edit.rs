//! Small changes of a configuration text: an endpoint is paused, goes up or down, the watchdog's switches are set. Comments and
//! everything else stay as they are. Pure; whether the result is a configuration is for whoever reads it.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, value};

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no TOML.
    #[error("the file is no valid TOML: {0}")]
    Toml(String),
    /// No endpoint has this name, as a table of its own.
    #[error("no `[[endpoint]]` of the file is called `{0}`")]
    NoEndpoint(String),
    /// It is first or last already.
    #[error("`{0}` cannot go further in this direction")]
    AtTheEnd(String),
    /// A table is something else there.
    #[error("`{0}` is not written as a table; edit the file in Settings")]
    NoTable(&'static str),
    /// A value that the watchdog would refuse.
    #[error("{0}")]
    Value(&'static str),
}

/// Into which direction an endpoint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Before the one that is before it.
    Up,
    /// Behind the one that is behind it.
    Down,
}

/// The switches of `[watchdog]` that are set by a page. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchdogSwitches {
    /// The table of rules is applied.
    pub tier1: Option<bool>,
    /// What helped before is applied.
    pub tier2: Option<bool>,
    /// A model may be asked.
    pub tier3: Option<bool>,
    /// A proxy that is gone is started again.
    pub auto_restart: Option<bool>,
    /// Turns are sent to another provider without asking.
    pub auto_switch_provider: Option<bool>,
    /// The endpoint that may be asked; an empty name means none.
    pub endpoint: Option<String>,
    /// The model that may be asked; an empty name means the endpoint's first.
    pub model: Option<String>,
    /// US dollars a month.
    pub monthly_budget: Option<f64>,
}

/// The text with an endpoint paused, or not any more.
///
/// # Errors
///
/// See [`EditError`].
pub fn pause(text: &str, endpoint: &str, is_paused: bool) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let endpoints = endpoints(&mut document)?;
    let place = place(endpoints, endpoint)?;
    let table = endpoints.get_mut(place).ok_or_else(|| EditError::NoEndpoint(endpoint.to_owned()))?;
    if is_paused {
        table.insert("enabled", value(false));
    } else {
        table.remove("enabled");
    }
    Ok(document.to_string())
}

/// The text with an endpoint one place further up or down, with its comments and its own tables.
///
/// # Errors
///
/// See [`EditError`].
pub fn shift(text: &str, endpoint: &str, direction: Direction) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let endpoints = endpoints(&mut document)?;
    let from = place(endpoints, endpoint)?;
    let to = match direction {
        Direction::Up => from.checked_sub(1),
        Direction::Down => Some(from + 1).filter(|to| *to < endpoints.len()),
    };
    let to = to.ok_or_else(|| EditError::AtTheEnd(endpoint.to_owned()))?;
    let mut tables: Vec<Table> = endpoints.iter().cloned().collect();
    // A table is written where its position says: each takes over the place of the one that stood there.
    let places: Vec<Option<isize>> = tables.iter().map(Table::position).collect();
    tables.swap(from, to);
    endpoints.clear();
    for (mut table, place) in tables.into_iter().zip(places) {
        table.set_position(place);
        endpoints.push(table);
    }
    // Two tables of different length would interleave otherwise.
    renumber(document.as_table_mut());
    Ok(document.to_string())
}

/// The text with the watchdog's switches set.
///
/// # Errors
///
/// See [`EditError`].
pub fn switch(text: &str, switches: &WatchdogSwitches) -> Result<String, EditError> {
    if switches.monthly_budget.is_some_and(|budget| !(0.0..=10_000.0).contains(&budget)) {
        return Err(EditError::Value("the monthly budget is between 0 and 10000 US dollars"));
    }
    let mut document = parse(text)?;
    let watchdog = table(document.as_table_mut(), "watchdog")?;
    for (key, is_on) in [
        ("tier1", switches.tier1),
        ("tier2", switches.tier2),
        ("tier3", switches.tier3),
        ("auto_restart", switches.auto_restart),
        ("auto_switch_provider", switches.auto_switch_provider),
    ] {
        if let Some(is_on) = is_on {
            put(watchdog, key, value(is_on));
        }
    }
    let names = [("endpoint", &switches.endpoint), ("model", &switches.model)];
    if names.iter().all(|(_, name)| name.is_none()) && switches.monthly_budget.is_none() {
        return Ok(document.to_string());
    }
    let diagnosis = table(watchdog, "diagnosis")?;
    for (key, name) in names {
        match name.as_deref() {
            Some("") => drop(diagnosis.remove(key)),
            Some(name) => put(diagnosis, key, value(name)),
            None => {}
        }
    }
    if let Some(budget) = switches.monthly_budget {
        put(diagnosis, "monthly_budget", value(budget));
    }
    Ok(document.to_string())
}

/// The text with the requests of the last turns kept in memory, or not any more.
///
/// # Errors
///
/// See [`EditError`].
pub fn keep_requests(text: &str, is_kept: bool) -> Result<String, EditError> {
    let mut document = parse(text)?;
    put(table(document.as_table_mut(), "server")?, "keep_requests", value(is_kept));
    Ok(document.to_string())
}

/// The names of the endpoints, in the order of the text; none where it is no TOML.
pub fn names(text: &str) -> Vec<String> {
    let document = DocumentMut::from_str(text).unwrap_or_default();
    let endpoints = document.get("endpoint").and_then(Item::as_array_of_tables);
    let name = |table: &Table| table.get("name").and_then(Item::as_str).map(str::to_owned);
    endpoints.into_iter().flatten().filter_map(name).collect()
}

/// The watchdog's switches as the text has them; what is absent stands at its default.
pub fn switches(text: &str) -> WatchdogSwitches {
    let document = DocumentMut::from_str(text).unwrap_or_default();
    let watchdog = document.get("watchdog").and_then(Item::as_table_like);
    let diagnosis = watchdog.and_then(|table| table.get("diagnosis")).and_then(Item::as_table_like);
    let is_on = |key: &str| watchdog.and_then(|table| table.get(key)).and_then(Item::as_bool);
    let of_diagnosis = |key: &str| diagnosis.and_then(|table| table.get(key));
    let name = |key: &str| of_diagnosis(key).and_then(Item::as_str).map(str::to_owned);
    #[expect(clippy::cast_precision_loss, reason = "a budget in whole dollars")]
    let dollars = |item: &Item| item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64));
    WatchdogSwitches {
        tier1: is_on("tier1"),
        tier2: is_on("tier2"),
        tier3: is_on("tier3"),
        auto_restart: is_on("auto_restart"),
        auto_switch_provider: is_on("auto_switch_provider"),
        endpoint: name("endpoint"),
        model: name("model"),
        monthly_budget: of_diagnosis("monthly_budget").and_then(dollars),
    }
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    DocumentMut::from_str(text).map_err(|error| EditError::Toml(error.message().to_owned()))
}

fn endpoints(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, EditError> {
    let item = document.get_mut("endpoint").ok_or(EditError::NoTable("endpoint"))?;
    item.as_array_of_tables_mut().ok_or(EditError::NoTable("endpoint"))
}

fn place(endpoints: &ArrayOfTables, name: &str) -> Result<usize, EditError> {
    let is_it = |table: &Table| table.get("name").and_then(Item::as_str) == Some(name);
    endpoints.iter().position(is_it).ok_or_else(|| EditError::NoEndpoint(name.to_owned()))
}

/// A table of a table, made where there is none.
fn table<'t>(parent: &'t mut dyn TableLike, key: &'static str) -> Result<&'t mut dyn TableLike, EditError> {
    let entry = parent.entry(key).or_insert_with(|| {
        let mut new = Table::new();
        new.set_implicit(false);
        Item::Table(new)
    });
    entry.as_table_like_mut().ok_or(EditError::NoTable(key))
}

/// Sets a value; what stands behind an old one, such as a comment, stays.
fn put(table: &mut dyn TableLike, key: &str, new: Item) {
    match (table.get_mut(key).and_then(Item::as_value_mut), new) {
        (Some(old), Item::Value(mut new)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        (_, new) => drop(table.insert(key, new)),
    }
}

/// Where a table is written, or the first of those in it.
fn first_position(table: &Table) -> isize {
    let inner = table.iter().filter_map(|(_, item)| match item {
        Item::Table(inner) => Some(first_position(inner)),
        Item::ArrayOfTables(list) => list.iter().map(first_position).min(),
        _ => None,
    });
    table.position().or_else(|| inner.min()).unwrap_or(isize::MAX)
}

fn each_table(table: &mut Table, change: &mut dyn FnMut(&mut Table)) {
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(inner) => {
                change(inner);
                each_table(inner, change);
            }
            Item::ArrayOfTables(list) => {
                for inner in list.iter_mut() {
                    change(inner);
                    each_table(inner, change);
                }
            }
            _ => {}
        }
    }
}

/// Gives all tables of a text new positions, in the order in which they would be written, so that what belongs together stays together.
fn renumber(root: &mut Table) {
    let mut tops: Vec<(isize, String, usize)> = Vec::new();
    for (key, item) in root.iter() {
        match item {
            Item::Table(table) => tops.push((first_position(table), key.to_owned(), 0)),
            Item::ArrayOfTables(list) => tops.extend(
                list.iter().enumerate().map(|(place, table)| (first_position(table), key.to_owned(), place)),
            ),
            _ => {}
        }
    }
    tops.sort_by_key(|top| (top.0, top.2));
    let mut next: isize = 0;
    for (_, key, place) in tops {
        let table = match root.get_mut(&key) {
            Some(Item::Table(table)) => Some(table),
            Some(Item::ArrayOfTables(list)) => list.get_mut(place),
            _ => None,
        };
        let Some(table) = table else { continue };
        let mut count = |table: &mut Table| {
            table.set_position(Some(next));
            next += 1;
        };
        count(table);
        each_table(table, &mut count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# top\n[server]\ngrace = \"5s\"\n\n# the first\n[[endpoint]]\nname = \"a\" # mine\n[endpoint.options]\nx = 1\n[endpoint.timeouts]\nidle = \"9s\"\n\n# the second\n[[endpoint]]\nname = \"b\"\n\n[[endpoint]]\nname = \"c\"\n\n[[route]]\nname = \"r\" # stays\n";

    #[test]
    fn a_pause_is_a_line_that_comes_and_goes() {
        let paused = pause(FILE, "b", true).expect("paused");
        assert_eq!(paused, FILE.replace("name = \"b\"\n", "name = \"b\"\nenabled = false\n"));
        assert_eq!(pause(&paused, "b", false).expect("back"), FILE);
        assert_eq!(pause(FILE, "x", true), Err(EditError::NoEndpoint("x".to_owned())));
        assert!(matches!(pause("[endpoint", "x", true), Err(EditError::Toml(_))));
        assert_eq!(pause("endpoint = 7", "x", true), Err(EditError::NoTable("endpoint")));
    }

    #[test]
    fn the_order_is_that_of_the_file() {
        assert_eq!(names(FILE), ["a", "b", "c"]);
        assert!(names("[").is_empty() && names("").is_empty());
    }

    #[test]
    fn an_endpoint_moves_with_its_comments_and_tables_and_back() {
        let down = shift(FILE, "a", Direction::Down).expect("moved");
        let wanted = "# top\n[server]\ngrace = \"5s\"\n\n# the second\n[[endpoint]]\nname = \"b\"\n\n# the first\n[[endpoint]]\nname = \"a\" # mine\n[endpoint.options]\nx = 1\n[endpoint.timeouts]\nidle = \"9s\"\n\n[[endpoint]]\nname = \"c\"\n\n[[route]]\nname = \"r\" # stays\n";
        assert_eq!(down, wanted);
        assert_eq!(shift(&down, "a", Direction::Up).expect("back"), FILE);
        assert_eq!(shift(FILE, "a", Direction::Up), Err(EditError::AtTheEnd("a".to_owned())));
        assert_eq!(shift(FILE, "c", Direction::Down), Err(EditError::AtTheEnd("c".to_owned())));
    }

    #[test]
    fn requests_are_kept_or_not() {
        let text = "[server] # mine\nlisten = \"127.0.0.1:1\"\nkeep_requests = true # why\n";
        let changed = keep_requests(text, false).expect("changed");
        assert_eq!(changed, "[server] # mine\nlisten = \"127.0.0.1:1\"\nkeep_requests = false # why\n");
        let made = keep_requests("# a\n", false).expect("made");
        assert!(made.contains("[server]\nkeep_requests = false\n") && made.contains("# a"), "{made}");
    }

    #[test]
    fn switches_are_set_where_they_stand_and_read_again() {
        let text = "[watchdog]\ntier3 = true # ask\n[watchdog.diagnosis]\nendpoint = \"a\"\nmodel = \"m\"\n";
        let wanted = WatchdogSwitches {
            tier3: Some(false),
            endpoint: Some("b".to_owned()),
            model: Some(String::new()),
            monthly_budget: Some(1.5),
            ..WatchdogSwitches::default()
        };
        let changed = switch(text, &wanted).expect("changed");
        assert_eq!(
            changed,
            "[watchdog]\ntier3 = false # ask\n[watchdog.diagnosis]\nendpoint = \"b\"\nmonthly_budget = 1.5\n"
        );
        let read = switches(&changed);
        assert_eq!((read.tier3, read.endpoint.as_deref()), (Some(false), Some("b")));
        assert_eq!((read.model, read.monthly_budget, read.tier1), (None, Some(1.5), None));
        let new =
            switch("# mine\n", &WatchdogSwitches { tier1: Some(true), ..wanted.clone() }).expect("made");
        assert!(new.contains("# mine") && new.contains("[watchdog]\ntier1 = true\n"), "{new}");
        assert_eq!(switches(&new).tier1, Some(true));
        let dear = WatchdogSwitches { monthly_budget: Some(f64::NAN), ..WatchdogSwitches::default() };
        assert!(matches!(switch(text, &dear), Err(EditError::Value(_))));
    }

    proptest::proptest! {
        #[test]
        fn whatever_moves_nothing_else_changes(names in proptest::collection::vec("[a-e]", 1..6), at in 0usize..6, up in proptest::bool::ANY) {
            let tables: Vec<String> = names
                .iter()
                .enumerate()
                .map(|(place, name)| format!("# {place}\n[[endpoint]]\nname = \"{name}\"\n[endpoint.headers]\nh{place} = \"1\"\n"))
                .collect();
            let text = tables.concat();
            let name = &names[at % names.len()];
            if let Ok(moved) = shift(&text, name, if up { Direction::Up } else { Direction::Down }) {
                let lines = |text: &str| { let mut lines: Vec<String> = text.lines().map(str::to_owned).collect(); lines.sort(); lines };
                proptest::prop_assert_eq!(lines(&text), lines(&moved));
                proptest::prop_assert!(moved.parse::<DocumentMut>().is_ok());
            }
        }
    }
}
