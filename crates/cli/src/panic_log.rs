//! What the log says of a panic: where it was. Rust's own report holds the message, and that may quote what was being worked on: a
//! conversation, or what an upstream sent.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write as _};

use latimer_protocol::printable::escaped;
use latimer_protocol::secret::redact;
use serde_json::json;

use crate::logging::{LogFormat, is_writable};

/// Reports every panic of this process as one line of the log.
pub(crate) fn install(format: LogFormat) {
    std::panic::set_hook(Box::new(move |info| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = message(info.payload(), tracing::enabled!(tracing::Level::DEBUG));
        let line = line(format, &place, &message, backtrace.as_deref());
        // Not through the log itself: that may be what panicked.
        let stderr = io::stderr();
        if is_writable(&stderr) {
            let _ = writeln!(stderr.lock(), "{line}");
        }
    }));
}

/// The program's own words; of a message that was put together only the length, unless the log is to have everything.
fn message(payload: &(dyn Any + Send), is_verbose: bool) -> String {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(words), _) => (*words).to_owned(),
        (None, Some(text)) if is_verbose => redact(text),
        (None, Some(text)) => format!("(a text of {} bytes; LATIMER_LOG=debug shows it)", text.len()),
        (None, None) => "(no text)".to_owned(),
    }
}

fn line(format: LogFormat, place: &str, message: &str, backtrace: Option<&str>) -> String {
    match format {
        LogFormat::Json => {
            json!({ "level": "ERROR", "event": "panic", "place": place, "message": message, "backtrace": backtrace })
                .to_string()
        }
        LogFormat::Human => {
            let backtrace = backtrace.map_or_else(String::new, |text| format!(" backtrace={text}"));
            escaped(&format!("ERROR event=\"panic\" place={place} {message}{backtrace}")).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_put_together_may_quote_a_conversation() {
        assert_eq!(message(&"index out of bounds", false), "index out of bounds");
        let text = "not a boundary of `the person's words`".to_owned();
        assert_eq!(message(&text, false), "(a text of 38 bytes; LATIMER_LOG=debug shows it)");
        assert_eq!(message(&text, true), text);
        assert_eq!(message(&7, true), "(no text)");
    }

    #[test]
    fn a_panic_is_one_line_of_either_form() {
        let human = line(LogFormat::Human, "src/a.rs:7:1", "it broke", Some("0: a\n1: b"));
        assert_eq!(human, "ERROR event=\"panic\" place=src/a.rs:7:1 it broke backtrace=0: a\\n1: b");
        let json = line(LogFormat::Json, "src/a.rs:7:1", "it\nbroke", None);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&value["event"], &value["message"]), (&json!("panic"), &json!("it\nbroke")));
    }
}
