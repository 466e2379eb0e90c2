//! Fields of a request, each looked at on its own, so that an error names the field. Pure.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::BadRequest;

/// Where something stands in the body. Lives on the stack and is only written out for an error.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'p> {
    /// A field of the body.
    Field(&'p str),
    /// A field of something.
    In(&'p At<'p>, &'p str),
    /// An element of a list, counted from 0.
    Nth(&'p At<'p>, usize),
}

impl<'p> At<'p> {
    /// A field of what stands here.
    pub(super) fn field(&'p self, name: &'p str) -> Self {
        Self::In(self, name)
    }

    /// An element of the list that stands here.
    pub(super) fn nth(&'p self, place: usize) -> Self {
        Self::Nth(self, place)
    }
}

/// As the API itself writes it: `messages.0.content.1.text`.
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::In(parent, name) => write!(f, "{parent}.{name}"),
            Self::Nth(parent, place) => write!(f, "{parent}.{place}"),
        }
    }
}

/// A value of this type; `null` means absent.
pub(super) fn optional<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: At<'_>,
    wanted: &str,
) -> Result<Option<T>, BadRequest> {
    match raw {
        None => Ok(None),
        Some(raw) => serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| wrong_type(raw, at, wanted)),
    }
}

/// A value of this type that has to be there.
pub(super) fn required<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: At<'_>,
    wanted: &str,
) -> Result<T, BadRequest> {
    optional(raw, at, wanted)?.ok_or_else(|| missing(at, wanted))
}

/// The fields of an object. serde would take a list for them too.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue, at: At<'_>) -> Result<T, BadRequest> {
    let fields = raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten();
    fields.ok_or_else(|| wrong_type(raw, at, "an object"))
}

/// The fields of an object that may be absent or `null`.
pub(super) fn optional_object<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: At<'_>,
) -> Result<Option<T>, BadRequest> {
    raw.filter(|raw| raw.get() != "null").map(|raw| object(raw, at)).transpose()
}

/// A list of anything.
pub(super) fn list<'a>(raw: &'a RawValue, at: At<'_>, wanted: &str) -> Result<Vec<&'a RawValue>, BadRequest> {
    serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, at, wanted))
}

/// The error for a value of the wrong type; says what was sent, but not its text.
pub(super) fn wrong_type(raw: &RawValue, at: At<'_>, wanted: &str) -> BadRequest {
    let sent = match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    if sent == wanted {
        BadRequest::at(at, "has a value that cannot be used")
    } else {
        BadRequest::at(at, &format!("should be {wanted}, and {sent} was sent"))
    }
}

/// The error for a value that is not there.
pub(super) fn missing(at: At<'_>, wanted: &str) -> BadRequest {
    BadRequest::at(at, &format!("is missing; it should be {wanted}"))
}
