//! Fields of any wire that never break what stands beside them: whatever is not of the expected type counts as absent.
//!
//! Providers send `null`, numbers for strings and objects for lists. A wrongly typed field must not take the text beside
//! it along, so every visitor here accepts every JSON value.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

/// A string that is borrowed from the input when it holds no escapes. (`Option<Cow<str>>` always allocates.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LenientText<'a>(pub Option<Cow<'a, str>>);

impl LenientText<'_> {
    /// The text, when there is some and it is not empty.
    pub fn some(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }
}

/// Gives every visitor a harmless answer for the types it does not want.
macro_rules! ignore {
    ($($method:ident($type:ty)),*) => {
        $(fn $method<E: de::Error>(self, _: $type) -> Result<Self::Value, E> { Ok(Self::Value::default()) })*
    };
}

macro_rules! ignore_map {
    () => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

macro_rules! ignore_seq {
    () => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

macro_rules! ignore_unit {
    () => {
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

struct LenientTextVisitor;

impl<'de> Visitor<'de> for LenientTextVisitor {
    type Value = LenientText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<LenientText<'de>, E> {
        Ok(LenientText(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<LenientText<'de>, E> {
        Ok(LenientText(Some(Cow::Owned(text.to_owned()))))
    }

    ignore!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
    ignore_unit!();
    ignore_map!();
    ignore_seq!();
}

impl<'de: 'a, 'a> Deserialize<'de> for LenientText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientTextVisitor)
    }
}

/// A whole number; a float is rounded down, anything else is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LenientCount(pub Option<u64>);

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = LenientCount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<LenientCount, E> {
        Ok(LenientCount(Some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<LenientCount, E> {
        Ok(LenientCount(u64::try_from(number).ok()))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked right before"
    )]
    fn visit_f64<E>(self, number: f64) -> Result<LenientCount, E> {
        Ok(LenientCount((0.0..9e15).contains(&number).then_some(number as u64)))
    }

    ignore!(visit_bool(bool), visit_str(&str));
    ignore_unit!();
    ignore_map!();
    ignore_seq!();
}

impl<'de> Deserialize<'de> for LenientCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

/// An object; anything else counts as an empty one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LenientObject<T>(pub Option<T>);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = LenientObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LenientObject<T>, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|value| LenientObject(Some(value)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_i64<E>(self, _: i64) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_u64<E>(self, _: u64) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_f64<E>(self, _: f64) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_str<E>(self, _: &str) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_unit<E>(self) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_none<E>(self) -> Result<LenientObject<T>, E> {
        Ok(LenientObject(None))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LenientObject<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(LenientObject(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LenientObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// A list; anything else counts as an empty one, and elements that are not objects are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LenientList<T, C = Vec<T>> {
    elements: C,
    of: PhantomData<T>,
}

/// A [`LenientList`] that hardly ever has more than one element, as those of a stream's deltas: one costs no allocation.
pub type LenientFew<T> = LenientList<T, SmallVec<[T; 1]>>;

impl<T, C: Default> Default for LenientList<T, C> {
    fn default() -> Self {
        Self { elements: C::default(), of: PhantomData }
    }
}

impl<T, C: Deref<Target = [T]>> Deref for LenientList<T, C> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

struct ListVisitor<T, C>(PhantomData<(T, C)>);

impl<'de, T: Deserialize<'de>, C: Default + Extend<T>> Visitor<'de> for ListVisitor<T, C> {
    type Value = LenientList<T, C>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Self::Value::default();
        while let Some(element) = seq.next_element::<LenientObject<T>>()? {
            list.elements.extend(element.0);
        }
        Ok(list)
    }

    ignore!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));
    ignore_unit!();
    ignore_map!();
}

impl<'de, T: Deserialize<'de>, C: Default + Extend<T>> Deserialize<'de> for LenientList<T, C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// Text as a string, or as a list of `{type, text}` parts (Mistral). Parts of type `thinking` are told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextOrParts<'a> {
    /// The string form, or all text parts joined.
    pub text: LenientText<'a>,
    /// All thinking parts joined.
    pub thinking: String,
}

#[derive(serde::Deserialize)]
#[serde(bound = "'de: 'a")]
struct Part<'a> {
    #[serde(default, rename = "type")]
    kind: LenientText<'a>,
    #[serde(default)]
    text: LenientText<'a>,
    #[serde(default)]
    thinking: Box<TextOrParts<'a>>,
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = TextOrParts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of parts")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<TextOrParts<'de>, E> {
        Ok(TextOrParts { text: LenientText(Some(Cow::Borrowed(text))), thinking: String::new() })
    }

    fn visit_str<E>(self, text: &str) -> Result<TextOrParts<'de>, E> {
        Ok(TextOrParts { text: LenientText(Some(Cow::Owned(text.to_owned()))), thinking: String::new() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TextOrParts<'de>, A::Error> {
        let (mut text, mut thinking) = (String::new(), String::new());
        while let Some(part) = seq.next_element::<LenientObject<Part<'de>>>()? {
            let Some(part) = part.0 else { continue };
            if part.kind.some() == Some("thinking") {
                thinking.push_str(part.thinking.text.some().unwrap_or_default());
            } else {
                text.push_str(part.text.some().unwrap_or_default());
            }
        }
        Ok(TextOrParts { text: LenientText(Some(Cow::Owned(text))), thinking })
    }

    ignore!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
    ignore_unit!();
    ignore_map!();
}

impl<'de: 'a, 'a> Deserialize<'de> for TextOrParts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}
