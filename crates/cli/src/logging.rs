//! Logs on stderr: for people, or one JSON object a line.

use std::io::{self, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    Human,
    /// One JSON object a line
    Json,
}

/// Sends logs to stderr. `LATIMER_LOG` sets the level or a filter, `info` without it.
pub(crate) fn init(format: Format) {
    let filter = std::env::var("LATIMER_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Unbreakable)
        .log_internal_errors(false)
        .with_target(false);
    // A second initialisation can only come from a test in the same process; the first one stays.
    let _ = match format {
        Format::Human => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colours).try_init()
        }
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// Stderr that never fails. Whoever reads it may be gone or too slow: a line is lost then, and nothing else.
struct Unbreakable;

impl Write for Unbreakable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
