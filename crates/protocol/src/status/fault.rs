//! What can go wrong, by name: the code is an enum here, a field in logs, a column in the incident store and a word on screen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One fault of the catalogue. A code never changes its meaning; a new fault gets a new code.
///
/// Groups: A the proxy's process, B the provider, C what a model wrote, D the client, E files and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The proxy is gone.
    A1,
    /// Another process holds the port.
    A2,
    /// The proxy's memory grows without end.
    A3,
    /// The proxy does not answer.
    A4,
    /// The proxy ended with an error.
    A5,
    /// The provider's certificate is not accepted.
    A6,
    /// A name could not be resolved.
    A7,
    /// The provider limits requests (429).
    B1,
    /// The provider broke (5xx).
    B2,
    /// The provider refused the key (401 or 403).
    B3,
    /// The provider refused the version of the client.
    B4,
    /// The provider was not reached or did not begin in time.
    B5,
    /// The connection broke in the middle of an answer.
    B6,
    /// The client left before the end.
    B7,
    /// The provider refused a field or a type (400).
    B8,
    /// The provider has no capacity (503).
    B9,
    /// A bot filter refused the request (403, code 1010).
    B10,
    /// A bare explore block in place of a call.
    C1,
    /// A request for permission that nobody can answer.
    C2,
    /// No call was found where one was meant.
    C3,
    /// A command wrapped in JSON more than once.
    C4,
    /// A command was held back as suspicious.
    C5,
    /// A command without text.
    C6,
    /// A lone brace in place of a call.
    C7,
    /// A bash block without a command.
    C8,
    /// A parameter under another spelling.
    C9,
    /// The model repeats itself.
    C10,
    /// The client is gone.
    D1,
    /// The client's memory grows large.
    D2,
    /// The client loses its streams.
    D3,
    /// The client's database is malformed.
    D4,
    /// A thread is longer than the model's context.
    D5,
    /// The client connects again and again.
    D6,
    /// What was learned about endpoints is broken or wrong.
    E1,
    /// The registry holds processes that are gone.
    E2,
    /// A client's settings name an old port.
    E3,
    /// A login is near or past its end.
    E4,
    /// Every route rests.
    E5,
}

/// The table: fault, code, title.
const TABLE: [(Fault, &str, &str); 38] = [
    (Fault::A1, "A1", "the proxy is gone"),
    (Fault::A2, "A2", "another process holds the port"),
    (Fault::A3, "A3", "the proxy's memory grows without end"),
    (Fault::A4, "A4", "the proxy does not answer"),
    (Fault::A5, "A5", "the proxy ended with an error"),
    (Fault::A6, "A6", "the provider's certificate is not accepted"),
    (Fault::A7, "A7", "a name could not be resolved"),
    (Fault::B1, "B1", "the provider limits requests (429)"),
    (Fault::B2, "B2", "the provider broke (5xx)"),
    (Fault::B3, "B3", "the provider refused the key (401 or 403)"),
    (Fault::B4, "B4", "the provider refused the version of the client"),
    (Fault::B5, "B5", "the provider was not reached or did not begin in time"),
    (Fault::B6, "B6", "the connection broke in the middle of an answer"),
    (Fault::B7, "B7", "the client left before the end"),
    (Fault::B8, "B8", "the provider refused a field or a type (400)"),
    (Fault::B9, "B9", "the provider has no capacity (503)"),
    (Fault::B10, "B10", "a bot filter refused the request (403, code 1010)"),
    (Fault::C1, "C1", "a bare explore block in place of a call"),
    (Fault::C2, "C2", "a request for permission that nobody can answer"),
    (Fault::C3, "C3", "no call was found where one was meant"),
    (Fault::C4, "C4", "a command wrapped in JSON more than once"),
    (Fault::C5, "C5", "a command was held back as suspicious"),
    (Fault::C6, "C6", "a command without text"),
    (Fault::C7, "C7", "a lone brace in place of a call"),
    (Fault::C8, "C8", "a bash block without a command"),
    (Fault::C9, "C9", "a parameter under another spelling"),
    (Fault::C10, "C10", "the model repeats itself"),
    (Fault::D1, "D1", "the client is gone"),
    (Fault::D2, "D2", "the client's memory grows large"),
    (Fault::D3, "D3", "the client loses its streams"),
    (Fault::D4, "D4", "the client's database is malformed"),
    (Fault::D5, "D5", "a thread is longer than the model's context"),
    (Fault::D6, "D6", "the client connects again and again"),
    (Fault::E1, "E1", "what was learned about endpoints is broken or wrong"),
    (Fault::E2, "E2", "the registry holds processes that are gone"),
    (Fault::E3, "E3", "a client's settings name an old port"),
    (Fault::E4, "E4", "a login is near or past its end"),
    (Fault::E5, "E5", "every route rests"),
];

impl Fault {
    /// Every fault, in the order of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
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
        &TABLE[self as usize]
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
        let row = TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(text.trim()));
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
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, place, "{}", row.1);
            assert_eq!(format!("{:?}", row.0), row.1);
            assert_eq!(row.1.parse::<Fault>(), Ok(row.0));
            assert_eq!(row.1.to_lowercase().parse::<Fault>(), Ok(row.0));
            assert!(!row.2.ends_with('.') && row.2.len() > 5, "{}", row.1);
        }
        assert_eq!(Fault::all().count(), TABLE.len());
    }

    #[test]
    fn a_code_is_its_wire_form() {
        assert_eq!(serde_json::to_string(&Fault::B10).expect("JSON"), r#""B10""#);
        assert_eq!(serde_json::from_str::<Fault>(r#""E5""#).expect("a fault"), Fault::E5);
        assert!(serde_json::from_str::<Fault>(r#""Z9""#).is_err());
        assert_eq!("Z9".parse::<Fault>(), Err(UnknownFault("Z9".to_owned())));
        assert_eq!(Fault::D3.group(), 'D');
    }
}
