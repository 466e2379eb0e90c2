//! Lines for people, on stdout and stderr, and the exit code of a command. Everything that a command prints passes here: nothing from
//! outside moves the cursor, forges a line, or tells a secret.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use anyhow::Context as _;
use latimer_protocol::printable::{escaped, escaped_json};
use latimer_protocol::secret::{Secret, redact_known};
use latimer_protocol::status::SCHEMA_VERSION;
use serde::Serialize;

use crate::environment::env;
use crate::exit::{ExitError, code_of};
use crate::fold::fold;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is done with remarks on stderr that are no errors.
static IS_QUIET: AtomicBool = AtomicBool::new(false);
/// The colours of this process, as a number of [`ColorChoice`].
static COLORS: AtomicU8 = AtomicU8::new(0);

/// Sets once, at the start, how this process talks.
pub(crate) fn set_manners(colors: ColorChoice, is_quiet: bool) {
    COLORS.store(colors as u8, Ordering::Relaxed);
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

/// Whether stdout is coloured. A colour never says anything that the words do not say.
pub(crate) fn is_coloured() -> bool {
    match COLORS.load(Ordering::Relaxed) {
        1 => true,
        2 => false,
        _ => env("NO_COLOR").is_none_or(|set| set.is_empty()) && io::stdout().is_terminal(),
    }
}

/// Whether this process stands on a terminal, whose keys send signals.
pub(crate) fn is_attached() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Whether a person types what comes on stdin.
pub(crate) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// Whether a person looks at stderr.
pub(crate) fn is_stderr_seen() -> bool {
    io::stderr().is_terminal()
}

/// A question on stderr, behind which a person types; its own line breaks are obeyed.
///
/// # Errors
/// Stderr is closed.
pub(crate) fn prompt(question: &str) -> anyhow::Result<()> {
    let mut out = io::stderr().lock();
    let lines: Vec<Cow<'_, str>> = question.split('\n').map(shown).collect();
    write!(out, "{}", lines.join("\n")).and_then(|()| out.flush()).context("asking")
}

/// A colour, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Red,
    Green,
    Plain,
}

/// A line on stdout in a colour, where colours are used.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_painted(paint: Paint, line: &str) -> anyhow::Result<()> {
    let code = match paint {
        Paint::Red => 31,
        Paint::Green => 32,
        Paint::Plain => return print_folded(line),
    };
    if !is_coloured() {
        return print_folded(line);
    }
    folded(&shown(line)).iter().try_for_each(|line| print(&format!("\u{1b}[{code}m{line}\u{1b}[0m")))
}

/// A remark on stderr that is no error; `--quiet` leaves it out.
pub(crate) fn note_line(line: &str) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        eprint_line(line);
    }
}

/// An error of several lines, such as everything that is wrong with a configuration. In all others a line break is shown as `\n`.
#[derive(Debug)]
pub(crate) struct LinesError {
    /// Its lines; line breaks inside of one are shown.
    lines: Vec<String>,
}

impl fmt::Display for LinesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for LinesError {}

impl LinesError {
    /// An error with a headline and what it is about, a line each.
    pub(crate) fn new(headline: &str, rest: impl IntoIterator<Item = String>) -> Self {
        Self { lines: std::iter::once(headline.to_owned()).chain(rest).collect() }
    }
}

/// A line on stdout. A line break inside of it is shown, not obeyed.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    print(&shown(line))
}

/// Lines on stdout, each as [`print_line`] prints it.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> anyhow::Result<()> {
    lines.into_iter().try_for_each(|line| print_line(line.as_ref()))
}

/// A line that is only looked at, never copied: where a person looks, it is broken between words to fit the screen.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_folded(line: &str) -> anyhow::Result<()> {
    folded(&shown(line)).iter().try_for_each(print)
}

/// Lines, each as [`print_folded`] prints it.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_rows(lines: impl IntoIterator<Item = impl AsRef<str>>) -> anyhow::Result<()> {
    lines.into_iter().try_for_each(|line| print_folded(line.as_ref()))
}

fn folded(line: &str) -> Vec<String> {
    columns().map_or_else(|| vec![line.to_owned()], |columns| fold(line, columns))
}

/// An address that a person is to open, on a line of its own between empty ones. It holds what proves this one login, so nothing
/// is taken out of it.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_address(url: &str) -> anyhow::Result<()> {
    print(&format!("\n{}\n", escaped(url)))
}

/// A key that was made a moment ago, on the one line on which it is ever shown, so nothing is taken out of it.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_secret_line(text: &str) -> anyhow::Result<()> {
    print(&escaped_json(text))
}

/// Whether a person looks at stdout.
pub(crate) fn is_screen() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// How many columns a line may have: those of the screen, or what `COLUMNS` says; `None` where nobody looks, and lines may be as long as
/// they are.
pub(crate) fn columns() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_screen = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    said.or_else(|| if is_screen() { of_screen().or(Some(USUAL_COLUMNS)) } else { None })
}

/// The columns of a screen that does not say.
const USUAL_COLUMNS: usize = 80;

/// Goes to the upper left corner of the screen and clears what was there.
///
/// # Errors
/// The reader is gone.
pub(crate) fn clear_screen() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(b"\x1b[H\x1b[2J").context("writing to stdout")
}

/// A secret on a line of its own, because a person asked for just this one.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_secret(secret: &Secret) -> anyhow::Result<()> {
    print(&escaped(secret.expose()))
}

/// A JSON document on stdout, indented.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    print(&escaped_json(&redact_known(&text)))
}

/// A document that says which version of the schema it follows.
///
/// # Errors
/// It is no JSON.
pub(crate) fn with_version(document: &impl Serialize) -> anyhow::Result<serde_json::Value> {
    let mut document = serde_json::to_value(document)?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
    }
    Ok(document)
}

/// A JSON document on one line of stdout.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_json_line(document: &serde_json::Value) -> anyhow::Result<()> {
    let text = document.to_string();
    print(&escaped_json(&redact_known(&text)))
}

/// A line on stderr, as [`print_line`] prints it. Never fails: nobody is helped by an error about an error.
pub(crate) fn eprint_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(line));
}

/// The exit code of a program whose command ended like this; an error is printed with its causes and hints.
pub(crate) fn exit_code(program: &str, result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // Whoever closed the pipe has read enough: that is no error.
        if error.downcast_ref::<ReaderGone>().is_some() {
            return ExitCode::SUCCESS;
        }
        for line in error_lines(program, &error) {
            eprint_line(&line);
        }
        ExitCode::from(code_of(&error))
    })
}

/// An error as lines, without the name of the program.
pub(crate) fn error_text(error: &anyhow::Error) -> Vec<String> {
    let mut lines = error_lines("", error);
    if let Some(first) = lines.first_mut() {
        *first = first.trim_start_matches([':', ' ']).to_owned();
    }
    lines
}

/// The error and its causes, on one line; only a [`LinesError`] has more.
pub(crate) fn error_lines(program: &str, error: &anyhow::Error) -> Vec<String> {
    let mut lines = vec![format!("{program}:")];
    let mut add = |text: &str, separator: &str| {
        if let Some(last) = lines.last_mut() {
            last.push_str(separator);
            last.push_str(text);
        }
    };
    let mut separator = " ";
    let mut rest = Vec::new();
    for cause in causes(error) {
        match cause.downcast_ref::<LinesError>().map(|error| error.lines.split_first()) {
            Some(Some((first, others))) => {
                add(first, separator);
                rest.extend(others.iter().cloned());
            }
            _ => add(&cause.to_string(), separator),
        }
        separator = ": ";
    }
    lines.extend(rest);
    lines
}

/// The error and its causes; where one gives the command its exit code, what is inside of it.
fn causes(error: &anyhow::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut causes_found = Vec::new();
    for cause in error.chain() {
        match cause.downcast_ref::<ExitError>() {
            Some(exit) => causes_found.extend(causes(&exit.inner)),
            None => causes_found.push(cause),
        }
    }
    causes_found
}

/// Nobody reads stdout any more.
#[derive(Debug)]
struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads stdout any more")
    }
}

impl std::error::Error for ReaderGone {}

/// A line as it may stand on a terminal.
fn shown(line: &str) -> Cow<'_, str> {
    match redact_known(line) {
        Cow::Borrowed(line) => escaped(line),
        Cow::Owned(line) => Cow::Owned(escaped(&line).into_owned()),
    }
}

fn print(text: &impl fmt::Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => written.context("writing to stdout"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fails_and_a_result_is_kept() {
        assert_eq!(exit_code("latimer", Ok(ExitCode::from(7))), ExitCode::from(7));
        assert_eq!(exit_code("latimer", Err(anyhow::anyhow!("a test's error"))), ExitCode::FAILURE);
    }

    #[test]
    fn a_line_is_one_line_and_holds_no_secret() {
        let _secret = Secret::new("Numbat/key/42");
        assert_eq!(shown("a\u{1b}[2J\nproxy: Numbat%2fkey%2F42"), "a\\u{1b}[2J\\nproxy: ***");
        assert!(matches!(shown("a line"), Cow::Borrowed("a line")));
    }

    #[test]
    fn only_an_error_that_is_made_of_lines_has_some() {
        let error = anyhow::anyhow!("no\nforged: line").context("asking");
        assert_eq!(error_lines("latimer", &error), ["latimer: asking: no\nforged: line"]);
        let problems =
            LinesError::new("the configuration cannot be used", ["one".to_owned(), "two".to_owned()]);
        let error = anyhow::Error::from(problems).context("reading");
        let want = ["latimer: reading: the configuration cannot be used", "one", "two"];
        assert_eq!(error_lines("latimer", &error), want);
    }
}
