//! Types to compact JSON. What is rare is left to `serde_json`.

use std::fmt;
use std::io::Write as _;

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde_json::{Error, Result};

use super::text::push_string;

/// The name under which `serde_json` hands over a `RawValue`: one field of the same name, whose text is JSON already. A test fails should a
/// version of it choose another one.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Appends to a buffer.
pub(super) struct Serializer<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

impl Serializer<'_> {
    fn by_serde<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        serde_json::to_writer(&mut *self.out, value)
    }

    fn integer(&mut self, value: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn word(&mut self, word: &str) {
        self.out.extend_from_slice(word.as_bytes());
    }
}

/// The elements of a list or an object that is being written.
pub(super) struct Elements<'s, 'o> {
    serializer: &'s mut Serializer<'o>,
    place: Place,
    /// What ends it.
    end: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
    /// The text of a `RawValue`.
    Raw,
}

impl<'s, 'o> Elements<'s, 'o> {
    fn begin(serializer: &'s mut Serializer<'o>, start: &str, end: &'static str) -> Self {
        serializer.out.extend_from_slice(start.as_bytes());
        Self { serializer, place: Place::First, end }
    }

    fn separate(&mut self) {
        if self.place == Place::Later {
            self.serializer.out.push(b',');
        }
        self.place = Place::Later;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.separate();
        value.serialize(&mut *self.serializer)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<()> {
        if self.place == Place::Raw {
            return write!(self.serializer.out, "{}", Plain(value)).map_err(Error::io);
        }
        self.separate();
        push_string(self.serializer.out, key);
        self.serializer.out.push(b':');
        value.serialize(&mut *self.serializer)
    }

    fn finish(self) {
        self.serializer.word(self.end);
    }
}

/// `{"variant":` before what a variant holds.
fn push_variant(out: &mut Vec<u8>, variant: &str) {
    out.push(b'{');
    push_string(out, variant);
    out.push(b':');
}

impl<'s, 'o> ser::Serializer for &'s mut Serializer<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'s, 'o>;
    type SerializeTuple = Elements<'s, 'o>;
    type SerializeTupleStruct = Elements<'s, 'o>;
    type SerializeTupleVariant = Elements<'s, 'o>;
    type SerializeMap = Elements<'s, 'o>;
    type SerializeStruct = Elements<'s, 'o>;
    type SerializeStructVariant = Elements<'s, 'o>;

    fn serialize_str(self, text: &str) -> Result<()> {
        push_string(self.out, text);
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.word(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_i16(self, value: i16) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<()> {
        self.integer(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<()> {
        self.by_serde(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        self.by_serde(&value)
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.word("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<()> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        push_variant(self.out, variant);
        value.serialize(&mut *self)?;
        self.word("}");
        Ok(())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Self::SerializeSeq> {
        Ok(Elements::begin(self, "[", "]"))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Self::SerializeTuple> {
        Ok(Elements::begin(self, "[", "]"))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleStruct> {
        Ok(Elements::begin(self, "[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        push_variant(self.out, variant);
        Ok(Elements::begin(self, "[", "]}"))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap> {
        Ok(Elements::begin(self, "{", "}"))
    }

    fn serialize_struct(self, name: &'static str, _length: usize) -> Result<Self::SerializeStruct> {
        if name == RAW_VALUE {
            return Ok(Elements { serializer: self, place: Place::Raw, end: "" });
        }
        Ok(Elements::begin(self, "{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant> {
        push_variant(self.out, variant);
        Ok(Elements::begin(self, "{", "}}"))
    }
}

impl SerializeSeq for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeTuple for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeTupleStruct for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeTupleVariant for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeMap for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    /// Numbers and truth values become texts.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.separate();
        let start = self.serializer.out.len();
        key.serialize(&mut *self.serializer)?;
        match self.serializer.out.get(start) {
            Some(b'"') => Ok(()),
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.serializer.out.insert(start, b'"');
                self.serializer.word("\"");
                Ok(())
            }
            _ => Err(ser::Error::custom("key must be a string")),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.serializer.out.push(b':');
        value.serialize(&mut *self.serializer)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeStruct for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.field(key, value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeStructVariant for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.field(key, value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

/// A text as it is, without quotes.
struct Plain<'v, T: ?Sized>(&'v T);

impl<T: Serialize + ?Sized> fmt::Display for Plain<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::super::to_vec;
    use super::*;

    #[derive(Serialize)]
    enum Variant {
        Unit,
        One(u8),
        Two(i64, f32),
        Named { a: Option<&'static str>, b: char },
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Pair(u64, bool);

    #[derive(Serialize)]
    struct Everything<'a> {
        variants: [Variant; 4],
        unit: Unit,
        pair: Pair,
        tuple: (i128, u128, f64),
        raw: &'a RawValue,
        raws: Vec<Option<&'a RawValue>>,
        numbers: BTreeMap<i32, u8>,
        truths: BTreeMap<bool, u8>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
    }

    fn same<T: Serialize>(value: &T) {
        let ours = String::from_utf8(to_vec(value, 0).expect("written")).expect("text");
        assert_eq!(ours, serde_json::to_string(value).expect("written"));
    }

    #[test]
    fn every_kind_of_type_is_written_as_serde_does() {
        let raw =
            RawValue::from_string("{ \"kept\" : [1.0,\n2], \"e\": \"\\u00e9\" }".to_owned()).expect("JSON");
        same(&Everything {
            variants: [
                Variant::Unit,
                Variant::One(1),
                Variant::Two(-2, 0.1),
                Variant::Named { a: None, b: '"' },
            ],
            unit: Unit,
            pair: Pair(u64::MAX, true),
            tuple: (i128::MIN, u128::MAX, f64::NAN),
            raw: &raw,
            raws: vec![Some(&raw), None],
            numbers: BTreeMap::from([(-1, 1), (2, 2)]),
            truths: BTreeMap::from([(false, 0), (true, 1)]),
            more: BTreeMap::from([("x\n".to_owned(), json!({ "y": [1.5e300, -0.0, "z"] }))]),
            absent: None,
        });
        same(&raw);
        same(b"bytes");
        same(&json!({}));
        same(&json!([]));
    }

    #[test]
    fn a_key_that_is_no_text_is_refused() {
        assert!(to_vec(&BTreeMap::from([(vec![1], 1)]), 0).is_err());
        assert!(to_vec(&BTreeMap::from([((), 1)]), 0).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(\\PC|[\\x00-\\x1f\"\\\\]){0,30}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec(("(\\PC|[\\x00-\\x1f\"]){0,6}", inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_written_as_serde_does(value in values()) {
            same(&value);
            same(&serde_json::value::to_raw_value(&value).expect("raw"));
        }
    }
}
