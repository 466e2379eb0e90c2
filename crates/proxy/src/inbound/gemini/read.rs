//! Fields of any type, read one at a time, so that an error names the field.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::BadRequest;

/// Where a value stands; written only when it is wrong.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    up: Option<&'p At<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

impl<'p> At<'p> {
    /// A field of the body.
    pub(super) const fn root(name: &'p str) -> Self {
        Self { up: None, step: Step::Field(name) }
    }

    pub(super) const fn field(&'p self, name: &'p str) -> Self {
        Self { up: Some(self), step: Step::Field(name) }
    }

    pub(super) const fn index(&'p self, index: usize) -> Self {
        Self { up: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        match self.step {
            Step::Field(name) if self.up.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A field of this type; `null` means absent.
pub(super) fn field<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &At<'_>,
    wanted: &str,
) -> Result<Option<T>, BadRequest> {
    match raw {
        None => Ok(None),
        Some(raw) => serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| wrong_type(raw, at, wanted)),
    }
}

/// A field that must be there.
pub(super) fn required<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &At<'_>,
    wanted: &str,
) -> Result<T, BadRequest> {
    field(raw, at, wanted)?
        .ok_or_else(|| BadRequest::at(at, format_args!("is missing; it should be {wanted}")))
}

/// The elements of a list, each an object; one may stand alone. Reads the list once, and again only to find what is wrong.
pub(super) fn list<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &At<'_>,
    wanted: &str,
) -> Result<Vec<T>, BadRequest> {
    let Some(raw) = given(raw) else { return Ok(Vec::new()) };
    if raw.get().starts_with('{') {
        return object(raw, at).map(|only| vec![only]);
    }
    if let Ok(all) = serde_json::from_str(raw.get()) {
        return Ok(all);
    }
    let all: Vec<&'a RawValue> = field(Some(raw), at, wanted)?.unwrap_or_default();
    all.into_iter().enumerate().map(|(place, raw)| object(raw, &at.index(place))).collect()
}

/// An object of this shape.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue, at: &At<'_>) -> Result<T, BadRequest> {
    serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, at, "an object"))
}

/// The value, unless it is `null`.
pub(super) fn given(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// The error for a value of the wrong type; says what was sent, but not its text.
pub(super) fn wrong_type(raw: &RawValue, at: &At<'_>, wanted: &str) -> BadRequest {
    let sent = match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    if sent == wanted {
        return BadRequest::at(at, format_args!("has a value that cannot be used"));
    }
    BadRequest::at(at, format_args!("should be {wanted}, and {sent} was sent"))
}
