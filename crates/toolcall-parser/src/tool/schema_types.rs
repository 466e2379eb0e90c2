//! What a schema makes of bare text.

use std::borrow::Cow;

use crate::json::{self, Value};
use crate::python;

/// How far `$ref` and nested alternatives are followed.
const MAX_HOPS: usize = 8;

/// The types a schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Types {
    pub(super) null: bool,
    pub(super) boolean: bool,
    pub(super) integer: bool,
    pub(super) number: bool,
    pub(super) object: bool,
    pub(super) array: bool,
    pub(super) string: bool,
}

/// What a value has to be, as far as that matters for markup that nests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An object.
    Object,
    /// A list.
    List,
    /// Text, a number, or another value without parts.
    Text,
    /// The schema does not say.
    Unknown,
}

/// What a value that `schema` describes has to be.
pub(crate) fn shape(root: &Value<'_>, schema: &Value<'_>) -> Shape {
    let types = types(root, schema, 0);
    let plain = types.string || types.boolean || types.integer || types.number;
    match (types.object, types.array, plain) {
        (true, false, false) => Shape::Object,
        (false, true, false) => Shape::List,
        (false, false, true) => Shape::Text,
        _ => Shape::Unknown,
    }
}

/// The value that bare text stands for where `schema` describes it; `root` resolves references.
pub(crate) fn typed(root: &Value<'_>, schema: Option<&Value<'_>>, text: &str) -> Value<'static> {
    let types = schema.map(|schema| types(root, schema, 0)).unwrap_or_default();
    let string = || Value::String(Cow::Owned(text.to_owned()));
    let bare = text.trim();
    if types == Types::default() {
        return untyped(bare).unwrap_or_else(string);
    }
    let number = || json::is_number(bare).then(|| Value::Number(Cow::Owned(bare.to_owned())));
    let whole = || number().filter(|_| !bare.contains(['.', 'e', 'E']));
    let container = |open: char| bare.starts_with(open).then(|| literal(bare)).flatten();
    let read = (types.null && is_null(bare))
        .then_some(Value::Null)
        .or_else(|| types.boolean.then(|| boolean(bare)).flatten());
    read.or_else(|| types.integer.then(whole).flatten())
        .or_else(|| types.number.then(number).flatten())
        .or_else(|| types.object.then(|| container('{')).flatten())
        .or_else(|| types.array.then(|| container('[').or_else(|| container('('))).flatten())
        .unwrap_or_else(string)
}

/// Without a schema, text that is plainly JSON and no string is JSON.
fn untyped(text: &str) -> Option<Value<'static>> {
    let first = text.bytes().next()?;
    let plain =
        matches!(first, b'{' | b'[' | b'-' | b'0'..=b'9') || matches!(text, "true" | "false" | "null");
    plain.then(|| literal(text)).flatten()
}

/// JSON, or failing that a Python literal.
fn literal(text: &str) -> Option<Value<'static>> {
    json::read(text).map(|(value, _)| value.into_owned()).or_else(|| python::literal(text))
}

fn is_null(text: &str) -> bool {
    text.eq_ignore_ascii_case("null") || text == "None"
}

fn boolean(text: &str) -> Option<Value<'static>> {
    if text.eq_ignore_ascii_case("true") {
        return Some(Value::Bool(true));
    }
    text.eq_ignore_ascii_case("false").then_some(Value::Bool(false))
}

pub(super) fn types(root: &Value<'_>, schema: &Value<'_>, hops: usize) -> Types {
    let mut found = Types::default();
    if hops == MAX_HOPS {
        return found;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| resolve(root, path)) {
        return types(root, target, hops + 1);
    }
    match schema.get("type") {
        Some(Value::String(name)) => found.add(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).for_each(|name| found.add(name)),
        _ => {}
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let Some(Value::Array(branches)) = schema.get(key) else { continue };
        for branch in branches {
            found = found.or(types(root, branch, hops + 1));
        }
    }
    if found == Types::default() {
        found.add_examples(schema);
    }
    found
}

/// Follows `#/$defs/name`.
fn resolve<'v, 'a>(root: &'v Value<'a>, path: &str) -> Option<&'v Value<'a>> {
    path.strip_prefix("#/")?.split('/').try_fold(root, |value, key| value.get(key))
}

/// The schema below an object's key or a list's items, references followed.
pub(crate) fn below<'v, 'a>(
    root: &'v Value<'a>,
    schema: &'v Value<'a>,
    key: Option<&str>,
) -> Option<&'v Value<'a>> {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => resolve(root, path)?,
        None => schema,
    };
    match key {
        Some(key) => schema.get("properties")?.get(key),
        None => schema.get("items"),
    }
}

impl Types {
    /// Whether a value is of one of these types; without any, everything is.
    pub(super) fn allow(self, value: &Value<'_>) -> bool {
        self == Self::default()
            || match value {
                Value::Null => self.null,
                Value::Bool(_) => self.boolean,
                Value::Number(digits) => self.number || (self.integer && !digits.contains(['.', 'e', 'E'])),
                Value::String(_) => self.string,
                Value::Array(_) => self.array,
                Value::Object(_) => self.object,
            }
    }

    fn add(&mut self, name: &str) {
        match name {
            "null" => self.null = true,
            "boolean" | "bool" => self.boolean = true,
            "integer" | "int" => self.integer = true,
            "number" | "float" => self.number = true,
            "object" | "dict" => self.object = true,
            "array" | "list" | "tuple" => self.array = true,
            "string" | "str" | "text" => self.string = true,
            _ => {}
        }
    }

    /// What `enum` and `const` show where there is no type.
    fn add_examples(&mut self, schema: &Value<'_>) {
        let listed =
            if let Some(Value::Array(values)) = schema.get("enum") { values.as_slice() } else { &[] };
        for value in listed.iter().chain(schema.get("const")) {
            self.add(match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            });
        }
        if schema.get("properties").is_some() {
            self.object = true;
        }
        if schema.get("items").is_some() {
            self.array = true;
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            null: self.null || other.null,
            boolean: self.boolean || other.boolean,
            integer: self.integer || other.integer,
            number: self.number || other.number,
            object: self.object || other.object,
            array: self.array || other.array,
            string: self.string || other.string,
        }
    }
}
