//! The keys of one `[[endpoint]]`, and where a key should be and is none.

use std::path::Path;

use latimer_protocol::secret::Secret;

use super::{Env, ReadFile};
use crate::config::Login;
use crate::config::presets::Preset;
use crate::config::read::{ProblemCollector, Table};

/// What was found.
pub(super) struct KeyPool {
    /// In the order of the file.
    pub(super) keys: Vec<Secret>,
    /// Variables that are not set, and files that cannot be read.
    pub(super) missing: Vec<String>,
}

/// The key pool, from all three sources, in the order of the file. Without any, the preset's usual variable is looked at.
pub(super) fn keys(
    table: &Table<'_, '_>,
    preset: Option<&'static Preset>,
    login: Option<Login>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> KeyPool {
    let (mut keys, mut missing) = (Vec::new(), Vec::new());
    let mut given = false;
    let mut add = |text: &str| {
        // A pool may be written as one comma-separated text.
        keys.extend(text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(Secret::new));
    };
    if let Some(value) = table.get("api_key") {
        given = true;
        value.strings(notes).iter().for_each(|(_, key)| add(key));
    }
    if let Some(value) = table.get("api_key_env") {
        given = true;
        for (span, name) in value.strings(notes) {
            if let Some(text) = env(&name) {
                add(&text);
            } else {
                notes.warning(
                    span,
                    &value.path,
                    format!("the environment variable `{name}` is not set; requests will carry no key"),
                );
                missing.push(name);
            }
        }
    }
    if let Some(value) = table.get("api_key_file") {
        given = true;
        for (span, path) in value.strings(notes) {
            match read_file(Path::new(&path)) {
                Ok(text) => text.lines().for_each(&mut add),
                Err(error) => {
                    notes.warning(
                        span,
                        &value.path,
                        format!("`{path}` cannot be read ({}); requests will carry no key", error.kind()),
                    );
                    missing.push(path);
                }
            }
        }
    }
    if let (false, Some(name)) = (given, preset.and_then(|preset| preset.key_env)) {
        match env(name) {
            Some(text) => add(&text),
            // An account may take the place of the key.
            None if login.is_some() => {}
            None => {
                let path = format!("{}.api_key_env", table.path);
                let message = format!(
                    "the environment variable `{name}` of the preset is not set; requests will carry no key"
                );
                notes.warning(table.span.clone(), &path, message);
                missing.push(name.to_owned());
            }
        }
    }
    KeyPool { keys, missing }
}
