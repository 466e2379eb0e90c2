//! What can go wrong, by name. In Rust a fault is a word ([`Fault::RateLimited`]); everywhere else it is its code (`B1`): in
//! log fields, rules files, the incident store and on screen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One fault of the catalogue. A code never changes its meaning; a new fault gets a new code at the end of its group.
///
/// Groups: A the proxy's process, B the provider, C what a model wrote, D the client, E files and state. Serialised as its
/// [`code`](Self::code), and ordered as in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// `A1`: the proxy is gone.
    ProxyGone,
    /// `A2`: another process holds the port.
    PortTaken,
    /// `A3`: the proxy's memory grows without end.
    ProxyMemoryHigh,
    /// `A4`: the proxy does not answer.
    ProxyUnresponsive,
    /// `A5`: the proxy ended with an error.
    ProxyCrashed,
    /// `A6`: the provider's certificate is not accepted.
    CertificateRejected,
    /// `A7`: a name could not be resolved.
    NameUnresolved,
    /// `B1`: the provider limits requests (429).
    RateLimited,
    /// `B2`: the provider broke (5xx).
    ServerError,
    /// `B3`: the provider refused the key (401 or 403).
    KeyRefused,
    /// `B4`: the provider refused the version of the client.
    ClientVersionRefused,
    /// `B5`: the provider was not reached or did not begin in time.
    ProviderUnreachable,
    /// `B6`: the connection broke in the middle of an answer.
    StreamInterrupted,
    /// `B7`: the client left before the end.
    ClientLeft,
    /// `B8`: the provider refused a field or a type (400).
    RequestRefused,
    /// `B9`: the provider has no capacity (503).
    NoCapacity,
    /// `B10`: a bot filter refused the request (403, code 1010).
    BotFilter,
    /// `C1`: a bare explore block in place of a call.
    BareExplore,
    /// `C2`: a request for permission that nobody can answer.
    EscalationRequest,
    /// `C3`: no call was found where one was meant.
    CallNotFound,
    /// `C4`: a command wrapped in JSON more than once.
    WrappedCommand,
    /// `C5`: a command was held back as suspicious.
    SuspiciousCommand,
    /// `C6`: a command without text.
    EmptyCommand,
    /// `C7`: a lone brace in place of a call.
    LoneBrace,
    /// `C8`: a bash block without a command.
    BashWithoutCommand,
    /// `C9`: a parameter under another spelling.
    ParameterSpelling,
    /// `C10`: the model repeats itself.
    RepetitionLoop,
    /// `D1`: the client is gone.
    ClientGone,
    /// `D2`: the client's memory grows large.
    ClientMemoryHigh,
    /// `D3`: the client loses its streams.
    ClientStreamLost,
    /// `D4`: the client's database is malformed.
    ClientDatabaseMalformed,
    /// `D5`: a thread is longer than the model's context.
    ContextTooLong,
    /// `D6`: the client connects again and again.
    ClientReconnecting,
    /// `E1`: what was learned about endpoints is broken or wrong.
    LearnedStateCorrupt,
    /// `E2`: the registry holds processes that are gone.
    DeadRegistryEntries,
    /// `E3`: a client's settings name an old port.
    StaleClientPort,
    /// `E4`: a login is near or past its end.
    LoginExpiring,
    /// `E5`: every route rests.
    AllRoutesResting,
}

/// The table: fault, code, title.
const CATALOGUE: [(Fault, &str, &str); 38] = [
    (Fault::ProxyGone, "A1", "the proxy is gone"),
    (Fault::PortTaken, "A2", "another process holds the port"),
    (Fault::ProxyMemoryHigh, "A3", "the proxy's memory grows without end"),
    (Fault::ProxyUnresponsive, "A4", "the proxy does not answer"),
    (Fault::ProxyCrashed, "A5", "the proxy ended with an error"),
    (Fault::CertificateRejected, "A6", "the provider's certificate is not accepted"),
    (Fault::NameUnresolved, "A7", "a name could not be resolved"),
    (Fault::RateLimited, "B1", "the provider limits requests (429)"),
    (Fault::ServerError, "B2", "the provider broke (5xx)"),
    (Fault::KeyRefused, "B3", "the provider refused the key (401 or 403)"),
    (Fault::ClientVersionRefused, "B4", "the provider refused the version of the client"),
    (Fault::ProviderUnreachable, "B5", "the provider was not reached or did not begin in time"),
    (Fault::StreamInterrupted, "B6", "the connection broke in the middle of an answer"),
    (Fault::ClientLeft, "B7", "the client left before the end"),
    (Fault::RequestRefused, "B8", "the provider refused a field or a type (400)"),
    (Fault::NoCapacity, "B9", "the provider has no capacity (503)"),
    (Fault::BotFilter, "B10", "a bot filter refused the request (403, code 1010)"),
    (Fault::BareExplore, "C1", "a bare explore block in place of a call"),
    (Fault::EscalationRequest, "C2", "a request for permission that nobody can answer"),
    (Fault::CallNotFound, "C3", "no call was found where one was meant"),
    (Fault::WrappedCommand, "C4", "a command wrapped in JSON more than once"),
    (Fault::SuspiciousCommand, "C5", "a command was held back as suspicious"),
    (Fault::EmptyCommand, "C6", "a command without text"),
    (Fault::LoneBrace, "C7", "a lone brace in place of a call"),
    (Fault::BashWithoutCommand, "C8", "a bash block without a command"),
    (Fault::ParameterSpelling, "C9", "a parameter under another spelling"),
    (Fault::RepetitionLoop, "C10", "the model repeats itself"),
    (Fault::ClientGone, "D1", "the client is gone"),
    (Fault::ClientMemoryHigh, "D2", "the client's memory grows large"),
    (Fault::ClientStreamLost, "D3", "the client loses its streams"),
    (Fault::ClientDatabaseMalformed, "D4", "the client's database is malformed"),
    (Fault::ContextTooLong, "D5", "a thread is longer than the model's context"),
    (Fault::ClientReconnecting, "D6", "the client connects again and again"),
    (Fault::LearnedStateCorrupt, "E1", "what was learned about endpoints is broken or wrong"),
    (Fault::DeadRegistryEntries, "E2", "the registry holds processes that are gone"),
    (Fault::StaleClientPort, "E3", "a client's settings name an old port"),
    (Fault::LoginExpiring, "E4", "a login is near or past its end"),
    (Fault::AllRoutesResting, "E5", "every route rests"),
];

impl Fault {
    /// Every fault, in the order of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        CATALOGUE.iter().map(|row| row.0)
    }

    /// The code, such as `B1`.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// What it is, in a few words that begin small and hold no full stop.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// The letter of its group, `A` to `E`.
    pub fn group(self) -> char {
        self.code().chars().next().unwrap_or('A')
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        // The rows stand in the order of the variants: see the test.
        &CATALOGUE[self as usize]
    }
}

/// A word that is no code of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault of the catalogue (A1 to E5)")]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;

    /// Reads a code, in capitals or not.
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let row = CATALOGUE.iter().find(|row| row.1.eq_ignore_ascii_case(text.trim()));
        row.map(|row| row.0).ok_or_else(|| UnknownFault(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_variant() {
        for (place, row) in CATALOGUE.iter().enumerate() {
            assert_eq!(row.0 as usize, place, "{}", row.1);
            assert_eq!(CATALOGUE.iter().filter(|other| other.1 == row.1).count(), 1, "{} twice", row.1);
            assert_eq!(row.1.parse::<Fault>(), Ok(row.0));
            assert_eq!(row.1.to_lowercase().parse::<Fault>(), Ok(row.0));
            assert!(!row.2.ends_with('.') && row.2.len() > 5, "{}", row.1);
        }
        assert_eq!(Fault::all().count(), CATALOGUE.len());
        // The codes of a group are counted from 1 without a gap.
        for group in 'A'..='E' {
            let codes = Fault::all().filter(|fault| fault.group() == group);
            assert!(codes.enumerate().all(|(place, fault)| fault.code() == format!("{group}{}", place + 1)));
        }
    }

    #[test]
    fn a_code_is_its_wire_form() {
        assert_eq!(serde_json::to_string(&Fault::BotFilter).expect("JSON"), r#""B10""#);
        assert_eq!(serde_json::from_str::<Fault>(r#""E5""#).expect("a fault"), Fault::AllRoutesResting);
        assert!(serde_json::from_str::<Fault>(r#""Z9""#).is_err());
        assert_eq!("Z9".parse::<Fault>(), Err(UnknownFault("Z9".to_owned())));
        assert_eq!(Fault::ClientStreamLost.group(), 'D');
    }
}
