//! A model's answer: exactly one JSON object that names one action of a closed list, or nothing.

use serde::Deserialize;

use super::scrub::scrub;
use crate::rules::Remedy;

/// The actions a model may name.
pub const ALLOWED_REMEDIES: [Remedy; 10] = [
    Remedy::RestartProxy,
    Remedy::KillStaleProcesses,
    Remedy::ClearSchemaCache,
    Remedy::SwitchProvider,
    Remedy::IncreaseTimeout,
    Remedy::RegenerateConfig,
    Remedy::CleanupCodexStale,
    Remedy::AlertUser,
    Remedy::Ignore,
    Remedy::RetryNow,
];
/// Below this confidence a person is told instead.
pub const MIN_CONFIDENCE: f64 = 0.6;
/// The longest answer that is looked at, in bytes: 200 tokens are far shorter.
const MAX_REPLY_BYTES: usize = 8 << 10;
/// The longest reason that is kept, in characters.
const MAX_REASON_CHARS: usize = 200;

/// What a model proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What the model would do; one of [`ALLOWED_REMEDIES`].
    pub remedy: Remedy,
    /// Its reason, for a person to read; cleaned and cut.
    pub reason: String,
    /// How sure it says it is, 0.6 to 1.
    pub confidence: f64,
}

/// Why an answer is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableReply {
    /// Something else than one JSON object with these three fields.
    #[error("the model's answer is not exactly one JSON object")]
    NotOneObject,
    /// A word that is on no list.
    #[error("the model named an action that does not exist")]
    UnknownAction,
    /// It is not sure, or says nothing sensible about it.
    #[error("the model is not sure enough")]
    Unsure,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyDocument {
    action: String,
    reason: String,
    confidence: f64,
}

/// Reads an answer. The reason is only ever shown; nothing in it becomes a command.
///
/// # Errors
///
/// Anything that is not exactly what was asked for.
pub fn read(text: &str) -> Result<Proposal, UnusableReply> {
    let text = text.trim();
    // An array of three values would be read as the fields in order.
    if text.len() > MAX_REPLY_BYTES || !text.starts_with('{') {
        return Err(UnusableReply::NotOneObject);
    }
    let wire: ReplyDocument = serde_json::from_str(text).map_err(|_| UnusableReply::NotOneObject)?;
    let remedy = Remedy::by_name(&wire.action).filter(|remedy| ALLOWED_REMEDIES.contains(remedy));
    let remedy = remedy.ok_or(UnusableReply::UnknownAction)?;
    if !(MIN_CONFIDENCE..=1.0).contains(&wire.confidence) {
        return Err(UnusableReply::Unsure);
    }
    let reason = wire
        .reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_REASON_CHARS)
        .collect::<String>();
    Ok(Proposal { remedy, reason: scrub(&reason), confidence: wire.confidence })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_object_with_a_known_action_is_followed() {
        let text = r#" {"action":"clear_schema_cache","reason":"repeated 400","confidence":0.6} "#;
        let proposal = read(text).expect("usable");
        assert_eq!((proposal.remedy, proposal.reason.as_str()), (Remedy::ClearSchemaCache, "repeated 400"));
        for remedy in ALLOWED_REMEDIES {
            let text = format!(r#"{{"action":"{}","reason":"","confidence":1}}"#, remedy.name());
            assert_eq!(read(&text).expect("usable").remedy, remedy);
        }
    }

    #[test]
    fn anything_else_is_not() {
        use UnusableReply::{NotOneObject, UnknownAction, Unsure};
        let good = r#"{"action":"ignore","reason":"r","confidence":0.9}"#;
        let long = format!(r#"{{"action":"ignore","reason":"{}","confidence":0.9}}"#, "r".repeat(9000));
        let cases = [
            ("", NotOneObject),
            ("I would restart it.", NotOneObject),
            (&format!("{good}{good}"), NotOneObject),
            (&format!("[{good}]"), NotOneObject),
            (&format!("```json\n{good}\n```"), NotOneObject),
            (&format!("{good} done"), NotOneObject),
            (r#"["ignore","r",0.9]"#, NotOneObject),
            (r#"{"action":"ignore","confidence":0.9}"#, NotOneObject),
            (r#"{"action":"ignore","reason":"r","confidence":"high"}"#, NotOneObject),
            (r#"{"action":"ignore","action":"ignore","reason":"r","confidence":0.9}"#, NotOneObject),
            (r#"{"action":"ignore","reason":"r","confidence":0.9,"command":"rm -rf ."}"#, NotOneObject),
            (&long, NotOneObject),
            (r#"{"action":"rm -rf .","reason":"r","confidence":0.9}"#, UnknownAction),
            (r#"{"action":"diagnose","reason":"a circle","confidence":0.9}"#, UnknownAction),
            (r#"{"action":"ignore","reason":"r","confidence":0.59}"#, Unsure),
            (r#"{"action":"ignore","reason":"r","confidence":60}"#, Unsure),
            (r#"{"action":"ignore","reason":"r","confidence":-1}"#, Unsure),
        ];
        for (text, want) in cases {
            assert_eq!(read(text), Err(want), "{text}");
        }
    }

    #[test]
    fn a_reason_cannot_steer_a_terminal_or_leak_a_key() {
        let text = r#"{"action":"ignore","reason":"\u001b[2J use sk-abcdef1234567890abcd","confidence":0.9}"#;
        let reason = read(text).expect("usable").reason;
        assert!(!reason.contains('\u{1b}') && !reason.contains("abcdef"), "{reason}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,300}") {
            let _ = read(&text);
            let _ = read(&format!("{{\"action\":{text}"));
        }
    }
}
