//! Edits the configuration file by command: comments and order survive, two writers lose nothing, a copy of what was there is kept, and
//! what would not be a valid configuration is never written.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use latimer_files::{FileLock, TryLock};
use latimer_proxy::config::Config;
use latimer_proxy::config::check::report;
use latimer_proxy::config::mask::Masked;
use latimer_proxy::config::state::edit_lock_path;
use similar::{ChangeTag, TextDiff};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use crate::clock;
use crate::configuration::load_text;
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{LinesError, Paint, note_line, print_painted};
use crate::watchdog_settings;

/// Lines of a diff around each change.
const CONTEXT_LINES: usize = 2;
/// How long another edit may take.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a lock that is held is tried.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A configuration file that is being edited; locked until this is dropped.
pub(crate) struct ConfigFile {
    path: PathBuf,
    before: Option<String>,
    /// What is to be written.
    pub(crate) document: DocumentMut,
    /// The comments of a file that has nothing else: they stay at its top.
    head: String,
    _lock: FileLock,
}

/// A change that was checked and shown, and is not written yet: nobody else waits while a person reads it.
#[derive(Debug)]
pub(crate) struct ShownChange {
    path: PathBuf,
    before: Option<String>,
    text: String,
}

impl ConfigFile {
    /// Opens the file for an edit; one that is not there yet is empty.
    ///
    /// # Errors
    /// It cannot be read or locked, or is no TOML: a broken file is not written over.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let (path, lock, before) = lock_and_read(path)?;
        let headline = format!("`{}` is no valid TOML, and is left as it is", path.display());
        let mut document = parse(before.as_deref().unwrap_or_default(), &headline)?;
        let head = take_head(&mut document);
        Ok(Self { document, head, path, before, _lock: lock })
    }

    /// The same for who replaces the whole text: what is there may be broken, and is kept as `….bak` as it is.
    ///
    /// # Errors
    /// It cannot be read or locked.
    pub(crate) fn open_whatever(path: &Path) -> anyhow::Result<Self> {
        let (path, lock, before) = lock_and_read(path)?;
        let document = before.as_deref().unwrap_or_default().parse().unwrap_or_default();
        Ok(Self { document, head: String::new(), path, before, _lock: lock })
    }

    /// The table of the endpoint of this name.
    ///
    /// # Errors
    /// There is none; the error lists those there are.
    pub(crate) fn endpoint(&mut self, name: &str) -> anyhow::Result<&mut Table> {
        let place = self.place(name)?;
        let found = self.endpoints()?.get_mut(place);
        found.context("the endpoint is gone")
    }

    /// Where the endpoint of this name stands in the file.
    ///
    /// # Errors
    /// There is none; the error lists those there are.
    pub(crate) fn place(&mut self, name: &str) -> anyhow::Result<usize> {
        let names: Vec<String> = self
            .endpoints()?
            .iter()
            .map(|table| table.get("name").and_then(Item::as_str).unwrap_or_default().to_owned())
            .collect();
        let place = names.iter().position(|known| known == name);
        place.with_context(|| {
            let path = self.path.display();
            format!("no endpoint of `{path}` is called `{name}`; there are: {}", names.join(", "))
        })
    }

    /// The endpoints of the file, in its order.
    ///
    /// # Errors
    /// `endpoint` is something else there.
    pub(crate) fn endpoints(&mut self) -> anyhow::Result<&mut ArrayOfTables> {
        let path = self.path.display().to_string();
        let entry = self.document.entry("endpoint").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        entry.as_array_of_tables_mut().with_context(|| {
            format!("`endpoint` of `{path}` is not written as [[endpoint]] tables; write it so, or edit it by hand")
        })
    }

    /// The text that is there; empty where there is no file yet.
    pub(crate) fn before(&self) -> &str {
        self.before.as_deref().unwrap_or_default()
    }

    /// Puts another text into the place of the whole file.
    ///
    /// # Errors
    /// It is no TOML.
    pub(crate) fn replace_text(&mut self, text: &str) -> anyhow::Result<()> {
        self.document = parse(text, "the new text is no valid TOML; nothing was written")?;
        self.head.clear();
        Ok(())
    }

    /// What is to be written, as text.
    fn text(&self) -> String {
        format!("{}{}", self.head, self.document)
    }

    /// Says what is wrong with the edited text.
    ///
    /// # Errors
    /// It would be no valid configuration: every line and reason.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.validate(&self.text()).exits(Exit::Configuration)
    }

    /// Checks the edited text and shows what changes. The lock is given back; `None` when nothing changes.
    ///
    /// # Errors
    /// The text would be no valid configuration.
    pub(crate) fn show(self) -> anyhow::Result<Option<ShownChange>> {
        self.checked()
    }

    fn checked(&self) -> anyhow::Result<Option<ShownChange>> {
        let text = self.text();
        if text == self.before() {
            note_line("nothing changes");
            return Ok(None);
        }
        self.validate(&text).exits(Exit::Configuration)?;
        show_change(self.before(), &text)?;
        Ok(Some(ShownChange { path: self.path.clone(), before: self.before.clone(), text }))
    }

    /// Checks the edited text, shows what changes, keeps a copy of the old file as `….bak`, and writes the new one.
    /// `false` when nothing changed.
    ///
    /// # Errors
    /// The text would be no valid configuration, somebody else changed the file meanwhile, or it cannot be written.
    pub(crate) fn write(self) -> anyhow::Result<bool> {
        self.write_if(|| Ok(true))
    }

    /// The same; between showing and writing this is asked. `false` also when it says no.
    ///
    /// # Errors
    /// As [`ConfigFile::write`], and what the question says.
    pub(crate) fn write_if(self, is_wanted: impl FnOnce() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
        let Some(change) = self.checked()? else { return Ok(false) };
        if !is_wanted()? {
            return Ok(false);
        }
        change.store()?;
        Ok(true)
    }

    /// The same without a word on stdout, for commands that print a document there.
    ///
    /// # Errors
    /// As [`ConfigFile::write`].
    pub(crate) fn write_silently(self) -> anyhow::Result<bool> {
        let text = self.text();
        if text == self.before() {
            return Ok(false);
        }
        self.validate(&text).exits(Exit::Configuration)?;
        ShownChange { path: self.path.clone(), before: self.before.clone(), text }.store()?;
        Ok(true)
    }

    /// What the edited text means.
    ///
    /// # Errors
    /// It would be no valid configuration.
    pub(crate) fn parsed(&self) -> anyhow::Result<Config> {
        let text = self.text();
        self.validate(&text).exits(Exit::Configuration)?;
        load_text(&text)
            .map(|loaded| loaded.config)
            .map_err(|_| anyhow::anyhow!("the configuration cannot be used"))
    }

    fn validate(&self, text: &str) -> anyhow::Result<()> {
        let mut problems = Vec::new();
        if let Err(found) = load_text(text) {
            problems.extend(report(&found, &self.path).lines().map(str::to_owned));
        }
        problems.extend(watchdog_settings::read(text).err().unwrap_or_default());
        if problems.is_empty() {
            return Ok(());
        }
        Err(LinesError::new(
            "the edit would make a configuration that cannot be used; nothing was written",
            problems,
        )
        .into())
    }
}

impl ShownChange {
    /// Keeps a copy of the old file as `….bak`, and writes the new one.
    ///
    /// # Errors
    /// Somebody else changed the file meanwhile, or it cannot be written.
    pub(crate) fn write(self) -> anyhow::Result<()> {
        let _lock = take_lock(&self.path)?;
        self.store()
    }

    /// The same for who holds the lock.
    fn store(self) -> anyhow::Result<()> {
        let Self { path, before, text } = self;
        let now = std::fs::read_to_string(&path).ok();
        ensure!(
            now == before,
            "`{}` was changed by somebody else meanwhile; nothing was written, try again",
            path.display()
        );
        if let Some(before) = before {
            let backup = backup_path(&path);
            latimer_files::write(&backup, before.as_bytes())
                .with_context(|| format!("writing `{}`", backup.display()))?;
        }
        latimer_files::write(&path, text.as_bytes())
            .with_context(|| format!("writing `{}`", path.display()))?;
        note_line(&format!("wrote `{}`", path.display()));
        Ok(())
    }
}

/// Takes the comments out of a document that has nothing else: they would end up behind everything that is added.
fn take_head(document: &mut DocumentMut) -> String {
    if !document.is_empty() {
        return String::new();
    }
    let mut head = document.trailing().as_str().unwrap_or_default().to_owned();
    document.set_trailing("");
    if !head.is_empty() && !head.ends_with('\n') {
        head.push('\n');
    }
    head
}

/// Reads a text as TOML.
fn parse(text: &str, headline: &str) -> anyhow::Result<DocumentMut> {
    let parsed = text.parse::<DocumentMut>().map_err(|error| {
        let words = error.to_string();
        // What stands in the line may be a secret, so only its place and the reason are said.
        let lines = words.lines().filter(|line| !line.contains('|') && !line.is_empty()).map(str::to_owned);
        LinesError::new(headline, lines)
    });
    parsed.exits(Exit::Configuration)
}

/// Takes the lock of a file, and reads it.
fn lock_and_read(path: &Path) -> anyhow::Result<(PathBuf, FileLock, Option<String>)> {
    // A file that is a link into a folder of dotfiles is edited where it is.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    make_folder(&path)?;
    let lock = take_lock(&path)?;
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("reading `{}`", path.display())),
    };
    Ok((path, lock, before))
}

/// The folder of a new file, private from the first moment. One that is there is the person's, and left as it is.
fn make_folder(path: &Path) -> anyhow::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("making `{}`", folder.display()))
}

/// Waits for whoever else edits the file.
fn take_lock(path: &Path) -> anyhow::Result<FileLock> {
    let lock = edit_lock_path(path);
    let asked_at = clock::now();
    loop {
        match FileLock::take(&lock).with_context(|| format!("locking `{}`", lock.display()))? {
            TryLock::Taken(taken) => return Ok(taken),
            TryLock::Held => ensure!(
                asked_at.elapsed() < LOCK_TIMEOUT,
                "another latimer has been editing `{}` for {} s; try again when it is done",
                path.display(),
                LOCK_TIMEOUT.as_secs()
            ),
        }
        std::thread::sleep(LOCK_POLL_INTERVAL);
    }
}

/// Where the copy of what was there before the last edit by a command is kept.
fn backup_path(path: &Path) -> PathBuf {
    beside(path, ".bak")
}

/// The copy of what was there before the last edit, by a command or on the page; the newest goes first.
pub(crate) fn last_copies(path: &Path) -> Vec<PathBuf> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let changed_at = |copy: &PathBuf| std::fs::metadata(copy).and_then(|data| data.modified()).ok();
    let mut copies: Vec<PathBuf> = [backup_path(&path), beside(&path, ".before")].into();
    copies.retain(|copy| copy.is_file());
    copies.sort_by_key(|copy| std::cmp::Reverse(changed_at(copy)));
    copies
}

/// The file of the same name with this behind it.
fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(tail);
    path.with_file_name(name)
}

/// Prints what is taken out and what is put in, with a few lines around.
fn show_change(before: &str, after: &str) -> anyhow::Result<()> {
    let diff = TextDiff::from_lines(before, after);
    let (old, new) = (masked_lines(before), masked_lines(after));
    for group in diff.grouped_ops(CONTEXT_LINES) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, paint, lines, at) = match change.tag() {
                ChangeTag::Delete => ('-', Paint::Red, &old, change.old_index()),
                ChangeTag::Insert => ('+', Paint::Green, &new, change.new_index()),
                ChangeTag::Equal => (' ', Paint::Plain, &old, change.old_index()),
            };
            let line = at.and_then(|at| lines.get(at)).map_or("", String::as_str);
            print_painted(paint, &format!("{sign} {line}"))?;
        }
    }
    Ok(())
}

/// The lines of a configuration text with stars in the place of every secret, also of those that are commented out.
pub(crate) fn masked_lines(text: &str) -> Vec<String> {
    Masked::new(text).stars().lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[server]\ngrace = \"5s\" # short\n\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).expect("written");
        (dir, path)
    }

    #[test]
    fn comments_and_order_survive_and_a_copy_is_kept() {
        let (_dir, path) = file(FILE);
        let mut edit = ConfigFile::open(&path).expect("opened");
        edit.endpoint("a").expect("found").insert("retries", toml_edit::value(1));
        assert!(edit.write().expect("written"));
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text, format!("{FILE}retries = 1\n"));
        assert_eq!(std::fs::read_to_string(backup_path(&path)).expect("a copy"), FILE);
        let edit = ConfigFile::open(&path).expect("opened");
        assert!(!edit.write().expect("nothing to do"));
    }

    #[test]
    fn what_would_not_be_valid_is_refused_with_its_place() {
        let (_dir, path) = file(FILE);
        let mut edit = ConfigFile::open(&path).expect("opened");
        edit.endpoint("a").expect("found").insert("retires", toml_edit::value(1));
        let error = edit.write().expect_err("refused");
        assert!(format!("{error:#}").contains("config.toml:8:1: endpoint[0].retires"), "{error:#}");
        assert_eq!(crate::exit::code_of(&error), 4);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), FILE);
    }

    #[test]
    fn a_broken_file_is_left_as_it_is_and_a_change_meanwhile_is_seen() {
        let (_dir, path) = file("[server\n");
        assert!(ConfigFile::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "[server\n");
        std::fs::write(&path, FILE).expect("written");
        let mut edit = ConfigFile::open(&path).expect("opened");
        edit.endpoint("a").expect("found").insert("retries", toml_edit::value(1));
        std::fs::write(&path, "# somebody else's\n").expect("written");
        assert!(edit.write().expect_err("refused").to_string().contains("meanwhile"));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "# somebody else's\n");
    }
}
