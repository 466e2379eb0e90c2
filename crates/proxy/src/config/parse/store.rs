//! `[store]`.

use std::path::Path;

use latimer_protocol::secret::Secret;

use super::{Env, ReadFile};
use crate::config::database_url::DatabaseUrl;
use crate::config::read::{ProblemCollector, Table};
use crate::config::schema;
use crate::config::store::{SharedStore, StoreSettings};

/// Connections to the database without `pool`.
const POOL: usize = 8;
/// The fewest and the most: one listens all the time.
const POOLS: std::ops::RangeInclusive<usize> = 2..=10;
/// A shorter secret seals nothing, in characters.
const MIN_SECRET: usize = 16;

pub(super) fn parse(
    root: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> StoreSettings {
    let Some(table) = root.table("store", notes) else { return StoreSettings::File };
    table.only(&schema::STORE, notes);
    let pool = table.number_in("pool", 2..=10, notes).and_then(|number| usize::try_from(number).ok());
    let secret = secret(&table, env, read_file, notes);
    let Some((span, path, text)) = address(&table, env, notes) else { return StoreSettings::File };
    match DatabaseUrl::parse(&text) {
        Ok(url) => {
            let pool = pool.unwrap_or(POOL).clamp(*POOLS.start(), *POOLS.end());
            StoreSettings::Shared(Box::new(SharedStore { url, pool, secret }))
        }
        Err(words) => {
            notes.problem(span, &path, words);
            StoreSettings::File
        }
    }
}

/// The address of the database, and where it stands.
fn address(
    table: &Table<'_, '_>,
    env: Env<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Option<(std::ops::Range<usize>, String, String)> {
    match (table.get("url"), table.get("url_env")) {
        (Some(_), Some(both)) => {
            notes.problem(both.span.clone(), &both.path, "is the same as `url`; leave one of them out");
            None
        }
        (Some(url), None) => Some((url.span.clone(), url.path.clone(), url.string(notes)?)),
        (None, Some(name)) => {
            let variable = name.string(notes)?;
            let text = env(&variable).filter(|text| !text.is_empty());
            if text.is_none() {
                notes.problem(
                    name.span.clone(),
                    &name.path,
                    format!("the environment variable `{variable}` is not set; it should hold postgres://user:password@host:5432/database"),
                );
            }
            Some((name.span.clone(), name.path.clone(), text?))
        }
        (None, None) => {
            notes.problem(
                table.span.clone(),
                "store",
                "should have `url` or `url_env`; without `[store]` everything is kept in a file",
            );
            None
        }
    }
}

fn secret(
    table: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Option<Secret> {
    let (value, found) = match (table.get("secret_env"), table.get("secret_file")) {
        (Some(_), Some(both)) => {
            notes.problem(
                both.span.clone(),
                &both.path,
                "is the same as `secret_env`; leave one of them out",
            );
            return None;
        }
        (Some(value), None) => {
            let name = value.string(notes)?;
            let found = env(&name).ok_or_else(|| format!("the environment variable `{name}` is not set"));
            (value, found)
        }
        (None, Some(value)) => {
            let path = value.string(notes)?;
            let found = read_file(Path::new(&path))
                .map_err(|error| format!("`{path}` cannot be read ({})", error.kind()));
            (value, found)
        }
        (None, None) => return None,
    };
    let text = match found {
        Ok(text) if text.trim().chars().count() >= MIN_SECRET => text,
        Ok(_) => {
            notes.problem(
                value.span.clone(),
                &value.path,
                format!("should be a secret of at least {MIN_SECRET} characters, the same on every node"),
            );
            return None;
        }
        Err(words) => {
            notes.problem(
                value.span.clone(),
                &value.path,
                format!("{words}; all nodes need the same secret"),
            );
            return None;
        }
    };
    Some(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use crate::config::StoreSettings;
    use crate::config::parse::load;

    fn problems(text: &str) -> Vec<String> {
        let env = |name: &str| match name {
            "URL" => Some("postgres://me:hunter2@db.test/x".to_owned()),
            "SHORT" => Some("short".to_owned()),
            _ => None,
        };
        match load(text, &env, &|_| Err(std::io::ErrorKind::NotFound.into())) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_line_key_and_variable() {
        assert!(problems("[store]\nurl_env = \"URL\"\npool = 4\n").is_empty());
        let cases = [
            ("[store]\nurl = \"mysql://me:hunter2@db/x\"\n", "2:7: store.url: should begin with postgres://"),
            (
                "[store]\nurl_env = \"NONE\"\n",
                "2:11: store.url_env: the environment variable `NONE` is not set",
            ),
            ("[store]\nurl_env = \"URL\"\npool = 11\n", "3:8: store.pool: should be from 2 to 10"),
            (
                "[store]\nurl_env = \"URL\"\nsecret_env = \"SHORT\"\n",
                "3:14: store.secret_env: should be a secret",
            ),
            (
                "[store]\nurl_env = \"URL\"\nsecret_file = \"/none\"\n",
                "3:15: store.secret_file: `/none` cannot be read",
            ),
            ("[store]\npool = 4\n", "store: should have `url` or `url_env`"),
            ("[store]\nurl = \"postgres://a/b\"\nurl_env = \"URL\"\n", "store.url_env: is the same as `url`"),
        ];
        for (text, wanted) in cases {
            let found = problems(text);
            assert!(found.len() == 1 && found[0].contains(wanted), "{text}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn without_it_everything_is_kept_in_a_file() {
        let parsed = load("", &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into())).expect("read");
        assert_eq!(parsed.config.store, StoreSettings::File);
    }
}
