//! Writing JSON: by hand where events come hundreds a second ([`push_string`], [`push_number`]), and from types for what is sent once
//! ([`to_vec`]). Pure.
//!
//! `serde_json` looks at each byte of a text by itself; of a request with a long history that was a fifth of all work.

mod serializer;
mod text;

use serde::Serialize;

pub use self::text::{push_escaped, push_string};

/// The value as compact JSON, the same bytes as `serde_json` writes; `room` is how many bytes it may need.
///
/// # Errors
/// A map has a key that is neither a text nor a number, or a value refuses to be written.
pub fn to_vec<T: Serialize + ?Sized>(value: &T, room: usize) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(room);
    value.serialize(&mut serializer::Serializer { out: &mut out })?;
    Ok(out)
}

/// Appends a whole number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
