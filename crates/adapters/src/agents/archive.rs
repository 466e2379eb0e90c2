//! What was asked and answered, as files for people: one Markdown file for each exchange that a profile wants kept.
//!
//! Nothing here ends a turn: who writes one logs what went wrong, and goes on.

use std::io;
use std::path::{Path, PathBuf};

/// The longest text of a question and of an answer, in characters.
const MAX_CHARS: usize = 2000;
/// The longest part of a thread's name in the name of a file.
const MAX_THREAD: usize = 24;
/// Files of one millisecond.
const MAX_SAME: u32 = 100;

/// A question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange<'e> {
    /// Which agent.
    pub backend: &'e str,
    /// Its thread, where it has one.
    pub thread: Option<&'e str>,
    /// `completed` and the like.
    pub status: &'e str,
    /// What was asked.
    pub user: &'e str,
    /// What was answered; nothing is kept of a blank one.
    pub assistant: &'e str,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Writes the file of an exchange; where it is, or nothing for a blank answer.
///
/// # Errors
/// The folder cannot be used, or the file cannot be made.
pub fn write(folder: &Path, exchange: &Exchange<'_>) -> io::Result<Option<PathBuf>> {
    if exchange.assistant.trim().is_empty() {
        return Ok(None);
    }
    latimer_files::prepare(folder)?;
    let (stem, text) = (stem(exchange), text(exchange));
    for number in 1..=MAX_SAME {
        let again = if number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("{stem}{again}.md"));
        match latimer_files::create_new(&path, text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| Some(path)),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many exchanges in one millisecond"))
}

/// `DATE-backend-HHMMSSmmm-thread`.
fn stem(exchange: &Exchange<'_>) -> String {
    let (date, clock) = moment(exchange.at_ms);
    let thread = exchange.thread.map(slug).filter(|slug| !slug.is_empty());
    let thread = thread.unwrap_or_else(|| "no-thread".to_owned());
    let thread: String = thread.chars().take(MAX_THREAD).collect();
    format!("{date}-{}-{clock}-{thread}", slug(exchange.backend))
}

fn text(exchange: &Exchange<'_>) -> String {
    let Exchange { backend, thread, status, user, assistant, at_ms } = *exchange;
    let (date, clock) = moment(at_ms);
    let thread = thread.unwrap_or("(none)");
    let (user, assistant) = (cut(user), cut(assistant));
    format!(
        "- time: {date} {clock}\n- provider: {backend}\n- continuation: {thread}\n- status: {status}\n\n## User\n\n{user}\n\n## Assistant\n\n{assistant}\n"
    )
}

/// Small letters, digits and lines between them.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    format!("{}...", text.chars().take(MAX_CHARS).collect::<String>())
}

/// The date, and the time of day to the millisecond, of a moment in UTC.
fn moment(at_ms: u64) -> (String, String) {
    let seconds = at_ms / 1000;
    let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    // `Sun, 06 Nov 1994 08:49:37 GMT`, of which the parts are taken.
    let http = httpdate::fmt_http_date(since);
    let mut words = http.split([' ', ',']).filter(|word| !word.is_empty()).skip(1);
    let (day, month, year) = (words.next(), words.next(), words.next());
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|known| Some(*known) == month).map_or(1, |place| place + 1);
    let clock = words.next().unwrap_or("00:00:00").replace(':', "");
    let date = format!("{}-{month:02}-{}", year.unwrap_or("1970"), day.unwrap_or("01"));
    (date, format!("{clock}{:03}", at_ms % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCHANGE: Exchange<'static> = Exchange {
        backend: "codex-app-server",
        thread: Some("01A223D6-dff2-78c1-80e9-f8d545403977"),
        status: "completed",
        user: "hi",
        assistant: "hello",
        at_ms: 1_795_897_614_312,
    };

    #[test]
    fn names_are_unique_in_one_millisecond_and_a_blank_answer_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = |exchange: &Exchange<'_>| {
            let path = write(dir.path(), exchange).expect("written")?;
            Some(path.file_name().expect("named").to_string_lossy().into_owned())
        };
        let first = "2026-11-28-codex-app-server-202654312-01a223d6-dff2-78c1-80e9-";
        assert!(
            name(&EXCHANGE)
                .is_some_and(|name| name.starts_with("2026-11-28-codex-app-server-202654312-01a223d6"))
        );
        assert!(
            name(&EXCHANGE).is_some_and(|name| name.ends_with("-2.md") && name.starts_with(&first[..40]))
        );
        assert!(name(&EXCHANGE).is_some_and(|name| name.ends_with("-3.md")));
        let nameless = Exchange { thread: None, ..EXCHANGE };
        assert!(name(&nameless).is_some_and(|name| name.ends_with("-no-thread.md")));
        assert_eq!(name(&Exchange { assistant: " \n", ..EXCHANGE }), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ż".repeat(2001);
        let exchange = Exchange { assistant: &long, thread: None, ..EXCHANGE };
        let text = text(&exchange);
        assert!(text.contains(&format!("{}...", "ż".repeat(2000))) && !text.contains(&long));
        assert!(text.contains("- continuation: (none)") && text.contains("## User\n\nhi"));
    }
}
