//! Telling the person: a line in the log, a bounded list for `status`, and the desktop where there is one.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;

use latimer_protocol::status::Fault;

use super::super::status;
use crate::action::{Alert, Level};
use crate::settings::Notify;
use crate::time::Time;

/// Alerts that are remembered.
const MAX_ALERTS: usize = 50;
/// How long a notifier may take.
const NOTIFIER_TIMEOUT: Duration = Duration::from_secs(5);
/// The most of a text that a notifier gets, in characters.
const MAX_TEXT_CHARS: usize = 300;

/// The alerts so far.
#[derive(Debug)]
pub struct Notifier {
    list: VecDeque<status::AlertEntry>,
    notify: Notify,
}

impl Notifier {
    /// No alerts yet; which of them reach the desktop is a setting.
    pub fn new(notify: Notify) -> Self {
        Self { list: VecDeque::new(), notify }
    }

    /// Tells the person.
    pub fn tell(&mut self, fault: Option<Fault>, alert: &Alert, now: Time) {
        let text = words(alert);
        let fault = fault.map(|fault| fault.code().to_owned());
        tracing::warn!(event = "alert", fault = fault.as_deref(), level = ?alert.level, text = %text);
        if self.list.len() == MAX_ALERTS {
            self.list.pop_front();
        }
        self.list.push_back(status::AlertEntry { at: now.as_secs(), fault, text: text.clone() });
        let reaches = match self.notify {
            Notify::All => true,
            Notify::Important => alert.level >= Level::Warning,
            Notify::None => false,
        };
        if reaches {
            tokio::spawn(desktop(text));
        }
    }

    /// The last ones, the newest last.
    pub fn list(&self) -> Vec<status::AlertEntry> {
        self.list.iter().cloned().collect()
    }
}

/// The whole of an alert in one text.
fn words(alert: &Alert) -> String {
    let mut text = format!("{} (since {})", alert.what, alert.since);
    if !alert.tried.is_empty() {
        text.push_str("; tried: ");
        text.push_str(&alert.tried.join(", "));
    }
    if !alert.run.is_empty() {
        text.push_str("; run: ");
        text.push_str(&alert.run);
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Shows a text on the desktop. A machine without one is no error.
async fn desktop(text: String) {
    let text: String = text.chars().take(MAX_TEXT_CHARS).collect();
    let mut command = if cfg!(target_os = "macos") {
        let mut command = tokio::process::Command::new("osascript");
        // The text is an argument and never part of the script.
        command.args([
            "-e",
            "on run argv",
            "-e",
            "display notification (item 1 of argv) with title \"latimer\"",
        ]);
        command.args(["-e", "end run", &text]);
        command
    } else {
        if std::env::var_os("DISPLAY").is_none() && std::env::var_os("WAYLAND_DISPLAY").is_none() {
            return;
        }
        let mut command = tokio::process::Command::new("notify-send");
        command.args(["--app-name=latimer", "--", "latimer", &text]);
        command
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if let Ok(mut child) = command.spawn() {
        let _ = tokio::time::timeout(NOTIFIER_TIMEOUT, child.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(what: &str) -> Alert {
        Alert {
            level: Level::Info,
            what: what.to_owned(),
            since: Time::ZERO,
            tried: vec!["restart".to_owned()],
            run: "latimer login google".to_owned(),
        }
    }

    #[test]
    fn an_alert_says_what_since_when_what_was_tried_and_what_to_run() {
        let text = words(&alert("the login\u{1b}[31m ended"));
        assert_eq!(
            text,
            "the login [31m ended (since 1970-01-01 00:00:00.000); tried: restart; run: latimer login google"
        );
    }

    #[test]
    fn the_list_is_bounded() {
        let mut alerts = Notifier::new(Notify::None);
        for number in 0..MAX_ALERTS + 5 {
            alerts.tell(Some(Fault::LoginExpiring), &alert(&number.to_string()), Time::from_secs(7));
        }
        let list = alerts.list();
        assert_eq!(list.len(), MAX_ALERTS);
        assert!(list[0].text.starts_with("5 ") && list[0].fault.as_deref() == Some("E4"), "{:?}", list[0]);
    }
}
