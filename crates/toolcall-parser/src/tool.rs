//! What the caller declared: tools with the JSON Schemas of their parameters, and what a schema makes of bare text.

use std::borrow::Cow;
use std::sync::Arc;

mod schema_types;

use crate::json::{self, Value};

pub(crate) use schema_types::{Shape, below, shape, typed};
use schema_types::{Types, types};

/// A tool that may be called. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    name: String,
    schema: Arc<Value<'static>>,
    input: Input,
    /// Parameters that some alternative of the schema requires.
    required_somewhere: Arc<[String]>,
}

/// What a tool's one text is, where it takes nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// Nothing is known of it.
    Arguments,
    /// Free text in the parameter `input`: it need not be wrapped as JSON.
    FreeText,
    /// A patch of `apply_patch`.
    Patch,
}

/// The parameter of a tool that takes free text and was made a function.
const FREE_TEXT: &str = "input";

impl Tool {
    /// A tool and the JSON Schema of its parameters. A schema that is no JSON counts as one that says nothing.
    pub fn new(name: impl Into<String>, schema: &str) -> Self {
        let schema = json::read(schema).map_or(Value::Null, |(value, _)| value.into_owned());
        let mut tool = Self {
            name: name.into(),
            schema: Arc::new(schema),
            input: Input::Arguments,
            required_somewhere: [].into(),
        };
        tool.input = match tool.only_parameter() {
            Some(_) if tool.name.rsplit("__").next() == Some("apply_patch") => Input::Patch,
            Some(FREE_TEXT) => Input::FreeText,
            _ => Input::Arguments,
        };
        tool
    }

    /// With what is said of it: a tool that takes one free text, and whose description or grammar is that of patches, takes patches.
    #[must_use]
    pub fn described(mut self, description: &str) -> Self {
        if self.input == Input::FreeText && description.contains("Begin Patch") {
            self.input = Input::Patch;
        }
        self
    }

    /// With the schema as its author wrote it, where the one it was made with merges alternatives: what any of them requires is never left
    /// out of a call.
    #[must_use]
    pub fn declared_as(mut self, schema: &str) -> Self {
        if ["Of\"", "$ref", "\"if\""].iter().any(|word| schema.contains(word))
            && let Some((schema, _)) = json::read(schema)
        {
            let mut names = Vec::new();
            required_anywhere(&schema, &mut names);
            self.required_somewhere = names.into();
        }
        self
    }

    pub(crate) fn input(&self) -> Input {
        self.input
    }

    /// The parameter of a tool that has one and takes a string in it.
    pub(crate) fn only_parameter(&self) -> Option<&str> {
        let [(key, _)] = self.properties() else { return None };
        self.takes_string(key).then_some(key)
    }

    /// Whether these can be the arguments of a call: everything that is required, nothing that is not declared, each of a type that its
    /// schema allows. A tool that declares nothing is never sure of it.
    pub(crate) fn fits(&self, arguments: &Value<'_>) -> bool {
        let Some(entries) = arguments.entries() else { return false };
        let allowed = |(key, value): &(Cow<'_, str>, Value<'_>)| {
            self.parameter(key).is_some_and(|schema| types(&self.schema, schema, 0).allow(value))
        };
        !self.properties().is_empty()
            && entries.iter().all(allowed)
            && self.required().all(|key| entries.iter().any(|(name, _)| name == key))
    }

    /// True when an empty text in this parameter says no more than leaving it out: it may be left out, and no value that it lists is the
    /// empty text.
    pub(crate) fn is_empty_as_absent(&self, key: &str) -> bool {
        let Some(schema) = self.parameter(key) else { return false };
        let lists_empty = self.choices(key).any(str::is_empty)
            || schema.get("const").and_then(Value::as_str).is_some_and(str::is_empty);
        let is_required = self.required().chain(self.required_somewhere.iter().map(String::as_str));
        !lists_empty && !is_required.into_iter().any(|name| name == key)
    }

    /// The name as declared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the parameters, where the schema lists them.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.properties().iter().map(|(key, _)| key.as_ref())
    }

    /// The names of the parameters that every call must have.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        let Some(Value::Array(required)) = self.schema.get("required") else {
            return [].iter().filter_map(key);
        };
        return required.iter().filter_map(key);

        fn key<'v>(value: &'v Value<'static>) -> Option<&'v str> {
            value.as_str()
        }
    }

    fn properties(&self) -> &[(Cow<'static, str>, Value<'static>)] {
        self.schema.get("properties").and_then(Value::entries).unwrap_or(&[])
    }

    /// True when the schema lists this parameter.
    pub(crate) fn declares(&self, key: &str) -> bool {
        self.properties().iter().any(|(name, _)| name == key)
    }

    /// The schema of one parameter.
    pub(crate) fn parameter(&self, key: &str) -> Option<&Value<'static>> {
        self.properties().iter().find(|(name, _)| name == key).map(|(_, schema)| schema)
    }

    /// The schema as a whole.
    pub(crate) fn schema(&self) -> &Value<'static> {
        &self.schema
    }

    /// True when a value of the parameter may be a string.
    pub(crate) fn takes_string(&self, key: &str) -> bool {
        self.parameter(key).is_some_and(|schema| types(&self.schema, schema, 0).string)
    }

    /// True when every value of the parameter is a string.
    pub(crate) fn takes_only_string(&self, key: &str) -> bool {
        let string = Types { string: true, ..Types::default() };
        self.parameter(key).is_some_and(|schema| types(&self.schema, schema, 0) == string)
    }

    /// True when a value of the parameter may be a list and not a string.
    pub(crate) fn takes_only_list(&self, key: &str) -> bool {
        self.parameter(key).is_some_and(|schema| {
            let types = types(&self.schema, schema, 0);
            types.array && !types.string
        })
    }

    /// The words that a parameter's schema lists.
    pub(crate) fn choices(&self, key: &str) -> impl Iterator<Item = &str> {
        let listed = self.parameter(key).and_then(|schema| schema.get("enum"));
        let listed = if let Some(Value::Array(values)) = listed { values.as_slice() } else { &[] };
        listed.iter().filter_map(Value::as_str)
    }

    /// The value that a parameter's bare text stands for.
    pub(crate) fn typed(&self, key: &str, text: &str) -> Value<'static> {
        typed(&self.schema, self.parameter(key), text)
    }
}

/// The names in every list of required ones, at any depth.
fn required_anywhere(schema: &Value<'_>, names: &mut Vec<String>) {
    match schema {
        Value::Object(entries) => {
            for (key, value) in entries {
                if let (true, Value::Array(listed)) = (key == "required", value) {
                    names.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                required_anywhere(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| required_anywhere(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
