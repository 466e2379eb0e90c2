//! The field reader of all client protocols: every field of a request is looked at on its own, so that an error names it. Pure.
//!
//! A reader declares the fields it knows with `raw_fields!` and reads each of them here. What nobody knows is passed over.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::bad_field::BadField;
use super::path::Path;

/// Declares an object's fields, each a slice of the body that is read only when it is asked for. A leading `type` becomes `kind`,
/// the word that says what the object is.
macro_rules! raw_fields {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { type, $($(#[$attribute:meta])* $field:ident),* $(,)? }) => {
        #[derive(Debug, Default, serde::Deserialize)]
        $(#[$meta])*
        $vis struct $name<'a> {
            #[serde(rename = "type", borrow)]
            $vis kind: Option<$crate::inbound::wire::field::Word<'a>>,
            $($(#[$attribute])* #[serde(borrow)] $vis $field: Option<&'a serde_json::value::RawValue>,)*
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$attribute:meta])* $field:ident),* $(,)? }) => {
        #[derive(Debug, Default, serde::Deserialize)]
        $(#[$meta])*
        $vis struct $name<'a> {
            $($(#[$attribute])* #[serde(borrow)] $vis $field: Option<&'a serde_json::value::RawValue>,)*
        }
    };
}
pub(in crate::inbound) use raw_fields;

/// A string that is a slice of the body where it has no escapes: for what is only compared or passed on.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::inbound) struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// An object, and nothing else: serde alone would take a list of the values for it too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// The fields of a whole body.
///
/// # Errors
/// When the body is not one JSON object; see [`BadField::not_json`] for the words.
pub(in crate::inbound) fn body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body).map(|Object(fields)| fields)
}

/// A value of this type; `null` means absent.
///
/// # Errors
/// When the value is of another type than `wanted`, which is how the type is called in the error.
pub(in crate::inbound) fn optional<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &Path<'_>,
    wanted: &str,
) -> Result<Option<T>, BadField> {
    match raw {
        None => Ok(None),
        Some(raw) => {
            serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| BadField::wrong_type(raw, at, wanted))
        }
    }
}

/// A value of this type that has to be there.
///
/// # Errors
/// When it is not there or of another type.
pub(in crate::inbound) fn required<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &Path<'_>,
    wanted: &str,
) -> Result<T, BadField> {
    optional(raw, at, wanted)?.ok_or_else(|| BadField::missing(at, wanted))
}

/// The fields of an object.
///
/// # Errors
/// When it is no object, or a field whose type is fixed is of another one.
pub(in crate::inbound) fn object<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    at: &Path<'_>,
) -> Result<T, BadField> {
    let fields = serde_json::from_str(raw.get()).map(|Object(fields)| fields);
    fields.map_err(|_| BadField::wrong_type(raw, at, "an object"))
}

/// The fields of an object that may be absent or `null`.
///
/// # Errors
/// As [`object`].
pub(in crate::inbound) fn optional_object<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &Path<'_>,
) -> Result<Option<T>, BadField> {
    given(raw).map(|raw| object(raw, at)).transpose()
}

/// The elements of a list, each an object. Reads the list once, and again only to find what is wrong.
///
/// # Errors
/// When it is no list, or an element is no object of this shape.
pub(in crate::inbound) fn objects<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    at: &Path<'_>,
    wanted: &str,
) -> Result<Vec<T>, BadField> {
    if let Ok(all) = serde_json::from_str::<Vec<Object<T>>>(raw.get()) {
        return Ok(all.into_iter().map(|Object(fields)| fields).collect());
    }
    let all = elements(raw, at, wanted)?;
    all.into_iter().enumerate().map(|(place, raw)| object(raw, &at.index(place))).collect()
}

/// The elements of a list, each an object; one may stand alone, and none may be there.
///
/// # Errors
/// As [`objects`].
pub(in crate::inbound) fn one_or_more<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: &Path<'_>,
    wanted: &str,
) -> Result<Vec<T>, BadField> {
    match given(raw) {
        None => Ok(Vec::new()),
        Some(raw) if raw.get().starts_with('{') => object(raw, at).map(|only| vec![only]),
        Some(raw) => objects(raw, at, wanted),
    }
}

/// The elements of a list, whatever they are.
///
/// # Errors
/// When it is no list.
pub(in crate::inbound) fn elements<'a>(
    raw: &'a RawValue,
    at: &Path<'_>,
    wanted: &str,
) -> Result<Vec<&'a RawValue>, BadField> {
    serde_json::from_str(raw.get()).map_err(|_| BadField::wrong_type(raw, at, wanted))
}

/// An element of a list in which texts stand between objects.
#[derive(Debug)]
pub(in crate::inbound) enum TextOr<T> {
    /// A bare string.
    Text(String),
    /// An object.
    Object(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Object)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// The parts of a content: a string is one text, a list holds texts and objects. Reads the list once, and again only to find what
/// is wrong.
///
/// # Errors
/// When it is neither, or an element is neither a string nor an object of this shape.
pub(in crate::inbound) fn text_or_objects<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    at: &Path<'_>,
    wanted: &str,
) -> Result<Vec<TextOr<T>>, BadField> {
    if raw.get().starts_with('"') {
        return required(Some(raw), at, wanted).map(|text| vec![TextOr::Text(text)]);
    }
    if let Ok(all) = serde_json::from_str(raw.get()) {
        return Ok(all);
    }
    let all = elements(raw, at, wanted)?;
    let element = |(place, raw): (usize, &'a RawValue)| {
        let at = at.index(place);
        if raw.get().starts_with('"') {
            required(Some(raw), &at, "an object").map(TextOr::Text)
        } else {
            object(raw, &at).map(TextOr::Object)
        }
    };
    all.into_iter().enumerate().map(element).collect()
}

/// The value, unless it is `null`.
pub(in crate::inbound) fn given(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::wire::bad_field::Problem;

    raw_fields! {
        /// An object of the tests.
        struct Part { type, text, #[serde(alias = "file_data")] data }
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    fn message<T>(result: Result<T, BadField>) -> String {
        result.err().expect("refused").message
    }

    const AT: Path<'static> = Path::bracketed("field");

    #[test]
    fn a_value_is_there_absent_or_of_the_wrong_type() {
        let (number, null) = (raw("7"), raw("null"));
        assert_eq!(optional::<u64>(Some(&number), &AT, "a number").expect("there"), Some(7));
        assert_eq!(optional::<u64>(Some(&null), &AT, "a number").expect("null"), None);
        assert_eq!(optional::<u64>(None, &AT, "a number").expect("absent"), None);
        let error = required::<u64>(None, &AT, "a number").expect_err("absent");
        assert_eq!(
            (error.problem, error.message.as_str()),
            (Problem::Missing, "`field` is missing; it should be a number")
        );
        assert_eq!(
            message(required::<String>(Some(&number), &AT, "a string")),
            "`field` should be a string, and a number was sent"
        );
    }

    #[test]
    fn an_object_is_no_list_of_its_values() {
        let list = raw(r#"["text","a","b"]"#);
        assert_eq!(
            message(object::<Part<'_>>(&list, &AT)),
            "`field` should be an object, and a list was sent"
        );
        assert!(body::<Part<'_>>(br#"["text","a","b"]"#).expect_err("a list").is_data());
        let part = raw(r#"{"type":"te\u0078t","file_data":1,"novel":[]}"#);
        let part: Part<'_> = object(&part, &AT).expect("an object");
        assert_eq!(
            (part.kind.as_deref(), part.text.is_none(), part.data.map(RawValue::get)),
            (Some("text"), true, Some("1"))
        );
        let wrong = raw(r#"{"type":7}"#);
        assert_eq!(message(object::<Part<'_>>(&wrong, &AT)), "`field` has a value that cannot be used");
        assert!(optional_object::<Part<'_>>(Some(&raw("null")), &AT).expect("null").is_none());
    }

    #[test]
    fn a_word_without_escapes_is_no_copy() {
        let json = raw("\"user\"");
        let Word(word) = required(Some(&json), &AT, "a string").expect("a word");
        assert!(matches!(word, Cow::Borrowed("user")));
    }

    #[test]
    fn of_a_list_the_wrong_element_is_named() {
        let list = raw(r#"[{"type":"a"},7]"#);
        assert_eq!(
            message(objects::<Part<'_>>(&list, &AT, "a list")),
            "`field[1]` should be an object, and a number was sent"
        );
        assert_eq!(
            message(elements(&raw("{}"), &AT, "a list")),
            "`field` should be a list, and an object was sent"
        );
        let list = raw(r#"["a",{"text":"b"}]"#);
        let parts = text_or_objects::<Part<'_>>(&list, &AT, "a list").expect("parts");
        assert!(
            matches!(&parts[..], [TextOr::Text(text), TextOr::Object(part)] if text == "a" && part.text.is_some())
        );
        let list = raw(r#"["a",["b"]]"#);
        assert_eq!(
            message(text_or_objects::<Part<'_>>(&list, &AT, "a list")),
            "`field[1]` should be an object, and a list was sent"
        );
        let text = raw("\"a\"");
        assert!(matches!(
            &text_or_objects::<Part<'_>>(&text, &AT, "words").expect("one")[..],
            [TextOr::Text(_)]
        ));
    }
}
