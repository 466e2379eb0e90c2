//! Lines for people, on stdout and stderr, and the exit code of a command.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

/// A line on stdout.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("writing to stdout")
}

/// A JSON document on stdout, indented.
///
/// # Errors
/// The reader is gone.
pub(crate) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string_pretty(document)?)
}

/// A line on stderr. Never fails: nobody is helped by an error about an error.
pub(crate) fn eprint_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The exit code of a program whose command ended like this; an error is printed with its causes and hints.
pub(crate) fn exit_code(program: &str, result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprint_line(&format!("{program}: {error:#}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fails_and_a_result_is_kept() {
        assert_eq!(exit_code("latimer", Ok(ExitCode::from(7))), ExitCode::from(7));
        assert_eq!(exit_code("latimer", Err(anyhow::anyhow!("a test's error"))), ExitCode::FAILURE);
    }
}
