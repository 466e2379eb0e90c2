//! Logs on stderr: for people, or one JSON object a line.

use std::io::{self, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::environment::env;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Human,
    /// One JSON object a line
    Json,
}

/// Sends logs to stderr. `LATIMER_LOG` sets the level or a filter, `info` without it.
pub(crate) fn init(format: LogFormat) {
    let filter = filter(env("LATIMER_LOG").as_deref());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LossyStderr)
        .log_internal_errors(false)
        .with_target(false);
    // A second initialisation can only come from a test in the same process; the first one stays.
    let _ = match format {
        LogFormat::Human => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colours).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// A level or a filter; what cannot be read counts as not set.
fn filter(text: Option<&str>) -> EnvFilter {
    text.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new("info"))
}

/// Stderr that never fails. Whoever reads it may be gone or too slow: a line is lost then, and nothing else.
struct LossyStderr;

impl Write for LossyStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_the_usual_one() {
        assert_eq!(filter(Some("debug")).to_string(), "debug");
        for text in [None, Some("latimer=loudly")] {
            assert_eq!(filter(text).to_string(), "info", "{text:?}");
        }
    }
}
