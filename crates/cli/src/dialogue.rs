//! Questions to a person at a terminal. Every one of them has a flag that answers it beforehand.

use std::io::BufRead as _;

use anyhow::{Context as _, ensure};
use latimer_protocol::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::terminal::{is_stderr_seen, is_typed, prompt};

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 1 << 16;

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    is_typed() && is_stderr_seen()
}

/// A line that a person types; empty where they only press Enter.
///
/// # Errors
/// Stdin is closed.
pub(crate) fn ask(question: &str) -> anyhow::Result<String> {
    prompt(question)?;
    line()
}

/// Yes or no; Enter is the default.
///
/// # Errors
/// Stdin is closed.
pub(crate) fn confirm(question: &str, default: bool) -> anyhow::Result<bool> {
    let choices = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        match ask(&format!("{question} {choices} "))?.to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// The same for what changes something: Enter is a no, and so is the end of stdin.
pub(crate) fn agrees(question: &str) -> bool {
    confirm(question, false).unwrap_or(false)
}

/// One of several; Enter takes the first. The place in the list.
///
/// # Errors
/// Stdin is closed.
pub(crate) fn choose(question: &str, choices: &[String]) -> anyhow::Result<usize> {
    for (place, choice) in choices.iter().enumerate() {
        prompt(&format!("  {}  {choice}\n", place + 1))?;
    }
    loop {
        let answer = ask(&format!("{question} [1] "))?;
        if answer.is_empty() {
            return Ok(0);
        }
        match answer.parse::<usize>() {
            Ok(number) if (1..=choices.len()).contains(&number) => return Ok(number - 1),
            _ => prompt(&format!("  a number from 1 to {}\n", choices.len()))?,
        }
    }
}

/// A secret; on a terminal it is not shown while it is typed or pasted. Without a terminal it is the first line of stdin.
///
/// # Errors
/// Stdin is closed, or the line is empty.
pub(crate) fn secret(question: &str) -> anyhow::Result<Secret> {
    if !is_typed() {
        return non_empty(line()?);
    }
    // Before the question: whoever answers it at once is not shown either, and nothing of the answer is lost.
    let hidden = Hidden::begin();
    let typed = prompt(question).and_then(|()| line());
    drop(hidden);
    non_empty(typed?)
}

fn non_empty(text: String) -> anyhow::Result<Secret> {
    ensure!(!text.is_empty(), "nothing was given");
    Ok(Secret::new(text))
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).context("reading stdin")?;
    ensure!(read > 0, "stdin is closed; the flags of `--help` answer every question beforehand");
    ensure!(line.len() <= MAX_ANSWER, "that is too long");
    Ok(line.trim().to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            quiet.local_modes.insert(LocalModes::ECHONL);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
