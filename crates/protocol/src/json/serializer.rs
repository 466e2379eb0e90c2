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
mod tests;
