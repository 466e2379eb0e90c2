//! Text that may be shown.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use super::redact;

/// Text without credentials. The one way to make it of something that was put together passes [`redact`], so a field of this type
/// holds none, whoever fills it.
#[derive(Clone, PartialEq, Eq)]
pub struct CleanText(Cow<'static, str>);

impl CleanText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// More of it, which passes [`redact`] together with what is there.
    pub fn push_str(&mut self, more: &str) {
        *self = format!("{}{more}", self.0).into();
    }
}

impl From<String> for CleanText {
    fn from(text: String) -> Self {
        Self(Cow::Owned(redact(&text)))
    }
}

/// Words of the program itself.
impl From<&'static str> for CleanText {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<Cow<'static, str>> for CleanText {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<CleanText> for String {
    fn from(text: CleanText) -> Self {
        text.0.into_owned()
    }
}

impl Deref for CleanText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CleanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CleanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq<str> for CleanText {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for CleanText {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl PartialEq<String> for CleanText {
    fn eq(&self, other: &String) -> bool {
        &*self.0 == other.as_str()
    }
}
