//! Steps, shown and done one by one: a change of the file as a diff, everything else as the command that it is.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context as _, bail};
use toml_edit::{Array, ArrayOfTables, Item, Table, Value, value};

use super::new_endpoint::NewEndpoint;
use super::step::Step;
use crate::config_file::ConfigFile;
use crate::config_key::KeyPath;
use crate::config_value::{put, table_of, value_of};
use crate::configuration::PathArgs;
use crate::dialogue;
use crate::exit::Exit;
use crate::key_file::KeyFile;
use crate::terminal::print_line;

/// Shows a step, and does it after a yes.
///
/// # Errors
/// It cannot be done; nothing of it was.
pub(super) fn run(step: &Step, paths: &PathArgs, dry_run: bool) -> anyhow::Result<()> {
    match step {
        Step::SetKey { endpoint } => set_key(paths, endpoint, dry_run),
        Step::AddEndpoint(new) => {
            let mut file = ConfigFile::open(&paths.config_target()?)?;
            add(&mut file, new)?;
            write(file, dry_run)
        }
        Step::ChangeSetting { key, typed } => {
            let mut file = ConfigFile::open(&paths.config_target()?)?;
            let value = value_of(key.meaning()?, typed).with_context(|| format!("`{key}`"))?;
            put(table_of(file.document.as_table_mut(), key)?, key.last(), value);
            write(file, dry_run)
        }
        Step::TestEndpoint { name } => command(paths, &["endpoints", "test", name], &[], dry_run),
        Step::LogIn { login } => command(paths, &["login", login.name()], &[], dry_run),
        Step::RunDoctor => command(paths, &["doctor"], &[Exit::Unwell], dry_run),
    }
}

/// Shows the diff and writes it after a yes.
fn write(file: ConfigFile, dry_run: bool) -> anyhow::Result<()> {
    let Some(change) = file.show()? else { return Ok(()) };
    if dry_run || !dialogue::agrees("write this?") {
        return print_line("nothing was written");
    }
    change.write()
}

fn add(file: &mut ConfigFile, new: &NewEndpoint) -> anyhow::Result<()> {
    if file.place(&new.name).is_ok() {
        bail!("there is an endpoint `{}` already", new.name);
    }
    let mut table = Table::new();
    let is_first = file.document.is_empty();
    table.decor_mut().set_prefix(if is_first { "" } else { "\n" });
    table.insert("name", value(&new.name));
    let fields = [
        ("preset", new.preset),
        ("protocol", new.protocol),
        ("base_url", new.base_url.as_deref()),
        ("api_key_env", new.key_env.as_deref()),
    ];
    for (key, given) in fields {
        if let Some(given) = given {
            table.insert(key, value(given));
        }
    }
    if !new.models.is_empty() {
        table.insert("models", value(new.models.iter().collect::<Array>()));
    }
    let list = file.document.entry("endpoint").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    list.as_array_of_tables_mut().context("`endpoint` is not written as [[endpoint]] tables")?.push(table);
    Ok(())
}

/// Asks the person for a key, which goes into a file of its own.
fn set_key(paths: &PathArgs, endpoint: &str, dry_run: bool) -> anyhow::Result<()> {
    let config = paths.config_target()?;
    let mut file = ConfigFile::open(&config)?;
    let key_file = KeyFile::of(&config, endpoint)?;
    let path = KeyPath::parse(&format!("endpoint.\"{endpoint}\".api_key_file"))?;
    let table = table_of(file.document.as_table_mut(), &path)?;
    for other in ["api_key", "api_key_env"] {
        table.remove(other);
    }
    put(table, path.last(), Value::from(key_file.path().to_string_lossy().into_owned()));
    let change = file.show()?;
    if dry_run || !dialogue::agrees("set it?") {
        return print_line("nothing was written");
    }
    let key_file = key_file.store(dialogue::secret("the key (it is not shown): ")?.expose())?;
    let written = change.map_or(Ok(()), crate::config_file::ShownChange::write);
    key_file.settle(written.is_ok());
    written
}

/// Runs a command of this program after a yes. It has done its work too where it ends with one of the codes in `also_done`.
fn command(paths: &PathArgs, words: &[&str], also_done: &[Exit], dry_run: bool) -> anyhow::Result<()> {
    print_line(&format!("  latimer {}", words.join(" ")))?;
    if dry_run || !dialogue::agrees("run this?") {
        return print_line("nothing was run");
    }
    let mut args: Vec<OsString> = words.iter().map(OsString::from).collect();
    args.extend(paths.flags());
    let program = std::env::current_exe().context("the path of latimer")?;
    let status = Command::new(program).args(args).status().context("running latimer")?;
    if !is_done(status.code(), also_done) {
        bail!("it ended with {status}");
    }
    Ok(())
}

/// Whether a command did its work, by the code it ended with; there is none where a signal ended it.
fn is_done(code: Option<i32>, also_done: &[Exit]) -> bool {
    code.is_some_and(|code| code == 0 || also_done.iter().any(|exit| i32::from(exit.code()) == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doctor_that_finds_problems_has_done_its_work() {
        assert!(is_done(Some(0), &[Exit::Unwell]));
        assert!(is_done(Some(7), &[Exit::Unwell]));
        // Every other end is a failure, and so is this one of another command.
        for code in [Some(1), Some(2), Some(4), None] {
            assert!(!is_done(code, &[Exit::Unwell]), "{code:?}");
        }
        assert!(is_done(Some(0), &[]));
        assert!(!is_done(Some(7), &[]));
    }
}
