//! Logs on stderr: for people, or one JSON object a line.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::ValueEnum;
use latimer_protocol::printable::{escaped, escaped_json};
use latimer_protocol::secret::redact_known_bytes;
use latimer_proxy::recent_log::{self, Level};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::environment::env;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Human,
    /// One JSON object a line
    Json,
}

/// How many `-v` stand on the command line.
static VERBOSITY: AtomicU8 = AtomicU8::new(0);

/// Sets once, at the start, how much is said.
pub(crate) fn set_verbosity(count: u8) {
    VERBOSITY.store(count, Ordering::Relaxed);
}

/// The level or filter of the log, where anything says one: `-v`, else `LATIMER_LOG`.
pub(crate) fn wanted_level() -> Option<String> {
    level(VERBOSITY.load(Ordering::Relaxed), env("LATIMER_LOG"))
}

fn level(count: u8, variable: Option<String>) -> Option<String> {
    match count {
        0 => variable,
        1 => Some("debug".to_owned()),
        _ => Some("trace".to_owned()),
    }
}

/// Sends logs to stderr. `-v` or `LATIMER_LOG` sets the level or a filter, `info` without them.
pub(crate) fn init(format: LogFormat) {
    let filter = filter(wanted_level().as_deref());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || LossyStderr { format })
        .log_internal_errors(false)
        .with_target(false);
    let base = tracing_subscriber::registry().with(filter).with(RecentLines);
    // A second initialisation can only come from a test in the same process; the first one stays.
    let _ = match format {
        LogFormat::Human => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let lines = lines.with_ansi(colours).fmt_fields(debug_fn(write_field).delimited(" "));
            base.with(lines).try_init()
        }
        LogFormat::Json => base.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    };
}

/// Has the newest lines remembered, for the page.
struct RecentLines;

impl<S: Subscriber> Layer<S> for RecentLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        let mut fields = Fields { text: String::with_capacity(USUAL_LINE), ..Fields::default() };
        event.record(&mut fields);
        recent_log::remember(level, fields.event, &fields.text);
    }
}

/// Bytes that most lines have room in.
const USUAL_LINE: usize = 384;

/// The fields of an event as text; its name apart.
#[derive(Default)]
struct Fields {
    event: String,
    text: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.event);
        } else {
            let _ = write!(self.text, "{}={value} ", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.text, "{}={value:?} ", field.name());
    }
}

/// A level or a filter; what cannot be read counts as not set.
fn filter(text: Option<&str>) -> EnvFilter {
    text.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new("info"))
}

/// The most that a pipe takes at once when it says that it takes anything (`PIPE_BUF` of Linux).
const MAX_WRITE_BYTES: usize = 4096;

/// Stderr that never fails and never waits. Whoever reads it may be gone, too slow, or have stopped the terminal: what does not fit is
/// lost then, and the next line that fits is preceded by how many were.
///
/// The last door of the log: no secret of this process passes it by value, whatever put it into a line.
struct LossyStderr {
    format: LogFormat,
}

/// The name of this node, which every line says; set once the configuration was read.
static NODE: OnceLock<String> = OnceLock::new();

/// Says how this node is called, in every line from now on.
pub(crate) fn set_node(name: &str) {
    let _ = NODE.set(name.to_owned());
}

/// The line with the name of the node.
fn with_node<'l>(line: Cow<'l, [u8]>, format: LogFormat, node: Option<&String>) -> Cow<'l, [u8]> {
    let Some(node) = node else { return line };
    let named = match format {
        LogFormat::Json => {
            line.strip_prefix(b"{").map(|rest| [format!("{{\"node\":\"{node}\",").as_bytes(), rest].concat())
        }
        LogFormat::Human => {
            line.strip_suffix(b"\n").map(|line| [line, format!(" node={node}\n").as_bytes()].concat())
        }
    };
    named.map_or(line, Cow::Owned)
}

/// What was lost since the last line that was written.
#[derive(Debug, PartialEq, Eq)]
struct LostLines {
    lines: u64,
    /// The last line has no end.
    cut: bool,
}

static LOST: Mutex<LostLines> = Mutex::new(LostLines { lines: 0, cut: false });

impl Write for LossyStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        let line = with_node(clean_line(bytes, self.format), self.format, NODE.get());
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        write_lossy(&line, &mut lost, &mut stderr.lock(), || is_writable(&stderr));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line without secrets; as JSON also without what a terminal would obey, which lines for people hold no more.
fn clean_line(line: &[u8], format: LogFormat) -> Cow<'_, [u8]> {
    let clean = redact_known_bytes(line);
    if format == LogFormat::Human || clean.is_ascii() {
        return clean;
    }
    Cow::Owned(escaped_json(&String::from_utf8_lossy(&clean)).into_owned().into_bytes())
}

/// Writes a field of a line for people: `name=value`, and the message bare. Whatever the value holds stays on this line, and moves no
/// cursor.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match (field.name(), out.has_ansi_escapes()) {
        ("message", _) => {}
        (name, true) => write!(out, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?,
        (name, false) => write!(out, "{name}=")?,
    }
    write!(Escaping(out), "{value:?}")
}

/// Hands on what is written without what a terminal would obey. No such character is ever in two pieces.
struct Escaping<'o, 'w>(&'o mut Writer<'w>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&escaped(text))
    }
}

/// Whether a write of [`MAX_WRITE_BYTES`] returns at once.
pub(crate) fn is_writable(file: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(file, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        && polled[0].revents().contains(PollFlags::OUT)
}

fn write_lossy(line: &[u8], lost: &mut LostLines, out: &mut impl Write, is_writable: impl Fn() -> bool) {
    let mut prefix = String::new();
    if lost.cut {
        prefix.push('\n');
    }
    if lost.lines > 0 {
        let _ = writeln!(prefix, "(lines lost because nobody read them: {})", lost.lines);
    }
    let pieces = [prefix.as_bytes(), line].into_iter().flat_map(|part| part.chunks(MAX_WRITE_BYTES));
    let mut written = 0;
    for piece in pieces {
        if !is_writable() || out.write_all(piece).is_err() {
            *lost =
                LostLines { lines: lost.lines.saturating_add(1), cut: lost.cut || written > prefix.len() };
            return;
        }
        written += piece.len();
    }
    *lost = LostLines { lines: 0, cut: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_says_more_than_the_variable() {
        let variable = || Some("warn".to_owned());
        let levels = [0, 1, 2, 9].map(|count| level(count, variable()));
        let words = levels.each_ref().map(|level| level.as_deref().unwrap_or_default());
        assert_eq!(words, ["warn", "debug", "trace", "trace"]);
        assert_eq!(level(0, None), None);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_the_usual_one() {
        assert_eq!(filter(Some("debug")).to_string(), "debug");
        for text in [None, Some("latimer=loudly")] {
            assert_eq!(filter(text).to_string(), "info", "{text:?}");
        }
    }

    #[test]
    fn a_line_that_comes_to_the_last_door_loses_its_secrets() {
        let _secret = latimer_protocol::secret::Secret::new("Quoll-key-\"7\"");
        let line = "{\"event\":\"x\",\"error\":\"refused Quoll-key-\\\"7\\\" \u{9b}2J\"}";
        let json = clean_line(line.as_bytes(), LogFormat::Json);
        assert_eq!(String::from_utf8_lossy(&json), r#"{"event":"x","error":"refused *** \u009b2J"}"#);
        assert!(matches!(clean_line(b"a line", LogFormat::Json), Cow::Borrowed(_)));
    }

    #[test]
    fn every_line_says_which_node_wrote_it() {
        let node = "a".to_owned();
        let named = |line: &'static str, format| {
            String::from_utf8(with_node(Cow::Borrowed(line.as_bytes()), format, Some(&node)).into_owned())
                .expect("text")
        };
        assert_eq!(named("{\"event\":\"x\"}\n", LogFormat::Json), "{\"node\":\"a\",\"event\":\"x\"}\n");
        assert_eq!(named("INFO x\n", LogFormat::Human), "INFO x node=a\n");
        assert!(matches!(with_node(Cow::Borrowed(b"x"), LogFormat::Json, None), Cow::Borrowed(_)));
    }

    #[test]
    fn what_nobody_reads_is_lost_and_counted() {
        let mut lost = LostLines { lines: 0, cut: false };
        let mut out = Vec::new();
        write_lossy(b"one\n", &mut lost, &mut out, || true);
        write_lossy(b"two\n", &mut lost, &mut out, || false);
        write_lossy(b"three\n", &mut lost, &mut out, || false);
        assert_eq!(lost, LostLines { lines: 2, cut: false });
        write_lossy(b"four\n", &mut lost, &mut out, || true);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text, "one\n(lines lost because nobody read them: 2)\nfour\n");
        assert_eq!(lost, LostLines { lines: 0, cut: false });
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next_one() {
        let mut lost = LostLines { lines: 0, cut: false };
        let mut out = Vec::new();
        let room = std::cell::Cell::new(1);
        write_lossy(&[b'x'; MAX_WRITE_BYTES + 1], &mut lost, &mut out, || room.replace(0) > 0);
        assert_eq!((out.len(), &lost), (MAX_WRITE_BYTES, &LostLines { lines: 1, cut: true }));
        write_lossy(b"next\n", &mut lost, &mut out, || true);
        assert!(out.ends_with(b"\n(lines lost because nobody read them: 1)\nnext\n"));
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut lost = LostLines { lines: 0, cut: false };
        let handle = writer.try_clone().expect("another handle");
        // More than any pipe holds: this returns only because nothing waits.
        for _ in 0..4096 {
            write_lossy(&[b'x'; 1024], &mut lost, &mut writer, || is_writable(&handle));
        }
        assert!(lost.lines > 0);
        drop(reader);
    }
}
