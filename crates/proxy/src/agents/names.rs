//! Names and closed sets of words that stand in the tables, in JSON and in paths.

use serde::Deserialize;

/// The most characters of the name of a profile, of a sender and of a recipient.
pub const MAX_NAME: usize = 64;

/// Whether this may be the name of a profile: `[A-Za-z0-9._-]{1,64}`, and nothing that means a folder.
pub fn is_profile_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_fine) && !matches!(name, "." | "..")
}

/// The name of something in a table: what all names of its kind begin with, and 16 hexadecimal digits.
macro_rules! table_id {
    ($(#[$meta:meta])* $name:ident, $start:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What every name of this kind begins with.
            pub const START: &str = $start;

            /// A new name, of these random bytes.
            pub fn new(random: u64) -> Self {
                Self(format!("{}{random:016x}", Self::START))
            }

            /// A name that was written down; `None` for what can be none.
            pub fn read(text: &str) -> Option<Self> {
                let rest = text.strip_prefix(Self::START)?;
                let is_name = rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_name.then(|| Self(text.to_owned()))
            }

            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}
pub(super) use table_id;

table_id! {
    /// The name of a run, such as `run_5f2c90d1a7b3e846`.
    RunId, "run_"
}

/// A length of time as a person writes it, in seconds: `30s`, `10m`, `2h`, `7d`. `None` for anything else.
fn seconds(text: &str) -> Option<u64> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.trim().strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    })
}

/// Reads a length of time in seconds: a number, or as `seconds` reads it.
///
/// # Errors
/// It is neither.
pub fn read_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Seconds(u64),
        Words(String),
    }
    let words = match Time::deserialize(deserializer)? {
        Time::Seconds(seconds) => return Ok(seconds),
        Time::Words(words) => words,
    };
    seconds(&words).ok_or_else(|| {
        serde::de::Error::custom("a time is a number of seconds, or such as `30s`, `10m`, `2h`")
    })
}

/// A closed set of words: the same in the tables, in JSON and on the command line.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$says:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$says])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The one of this name.
            pub fn of(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let read =
            ["30s", "10m", " 2h", "7d", "", "s", "5", "-1s", "1.5h", "99999999999999999999s"].map(seconds);
        assert_eq!(read[..4], [Some(30), Some(600), Some(7200), Some(604_800)]);
        assert_eq!(read[4..], [None; 6]);
    }

    #[test]
    fn names_of_profiles_and_runs() {
        for name in ["a", "night.watch-2_b", &"x".repeat(64)] {
            assert!(is_profile_name(name), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", "a:b", &"x".repeat(65)] {
            assert!(!is_profile_name(name), "{name}");
        }
        let id = RunId::new(0x5f2c_90d1_a7b3_e846);
        assert_eq!(id.as_str(), "run_5f2c90d1a7b3e846");
        assert_eq!(RunId::read(id.as_str()), Some(id));
        for text in ["", "run_", "run_5f2c90d1a7b3e84g", "5f2c90d1a7b3e846", "run_5f2c90d1a7b3e8461"] {
            assert_eq!(RunId::read(text), None, "{text}");
        }
    }
}
