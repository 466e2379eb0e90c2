//! Ids as types of their own: mixing up an item id and a call id is the classic bug of this field.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

id!(
    /// Links a tool call to its output (`call_id` on the Responses wire, `tool_call_id` on the Chat wire).
    CallId
);
/// How many hexadecimal digits an id that latimer makes for a call ends with: 32 of the answer, 2 of the call's number.
const MADE_DIGITS: usize = 34;

impl CallId {
    /// The id of a call that came without one: `hex` is the answer's, 32 digits; `number` tells its calls apart.
    pub fn made_here(prefix: &str, hex: &str, number: u32) -> Self {
        Self(format!("{prefix}{hex}{number:02x}"))
    }

    /// Whether the id is of that form.
    pub fn is_made_here(&self) -> bool {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digits = self.0.rsplit('_').next().unwrap_or_default();
        digits.len() == MADE_DIGITS && digits.len() < self.0.len() && digits.bytes().all(is_hex)
    }
}

id!(
    /// The name a person gave an endpoint in the configuration.
    EndpointName
);
