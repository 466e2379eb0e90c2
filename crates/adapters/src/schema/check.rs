//! Whether a schema has the form that every provider takes. The common answer is yes, and it must be cheap: one pass over the text.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::document::{Children, REFERENCES, children_of, pointed_at};

/// The fields of a root that decide. One that stands twice is an error, and then the schema is lowered.
#[derive(Deserialize)]
struct Root<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    required: Option<&'a RawValue>,
    #[serde(rename = "oneOf")]
    one_of: Option<IgnoredAny>,
    #[serde(rename = "anyOf")]
    any_of: Option<IgnoredAny>,
    #[serde(rename = "allOf")]
    all_of: Option<IgnoredAny>,
    not: Option<IgnoredAny>,
    #[serde(rename = "enum")]
    listed: Option<IgnoredAny>,
    #[serde(rename = "const")]
    constant: Option<IgnoredAny>,
    #[serde(rename = "$ref")]
    reference: Option<IgnoredAny>,
    #[serde(rename = "$dynamicRef")]
    dynamic: Option<IgnoredAny>,
    #[serde(rename = "$recursiveRef")]
    recursive: Option<IgnoredAny>,
}

/// A tool as it is declared on any wire: what of it may hold schemas.
#[derive(Deserialize)]
struct Declaration<'a> {
    #[serde(borrow)]
    parameters: Option<Root<'a>>,
    #[serde(borrow)]
    input_schema: Option<Root<'a>>,
    #[serde(borrow)]
    function: Option<Box<Declaration<'a>>>,
    #[serde(borrow)]
    tools: Option<Vec<Declaration<'a>>>,
}

impl Root<'_> {
    /// An object and nothing else.
    fn is_object(&self) -> bool {
        let begins = |field: Option<&RawValue>, with| field.is_none_or(|raw| raw.get().starts_with(with));
        let others = [
            &self.one_of,
            &self.any_of,
            &self.all_of,
            &self.not,
            &self.listed,
            &self.constant,
            &self.reference,
            &self.dynamic,
            &self.recursive,
        ];
        self.kind.is_some_and(|kind| kind.get() == "\"object\"")
            && begins(self.properties, '{')
            && begins(self.required, '[')
            && others.into_iter().all(Option::is_none)
    }
}

impl Declaration<'_> {
    fn is_right(&self) -> bool {
        let schemas = [&self.parameters, &self.input_schema];
        schemas.into_iter().flatten().all(Root::is_object)
            && self.function.as_ref().is_none_or(|function| function.is_right())
            && self.tools.as_ref().is_none_or(|tools| tools.iter().all(Self::is_right))
    }
}

/// Whether every schema in a list of declarations goes out as it is. It may say no where it is not sure.
pub(super) fn all_right(list: &RawValue) -> bool {
    let declarations = serde_json::from_str::<Vec<Declaration<'_>>>(list.get());
    declarations.is_ok_and(|all| all.iter().all(Declaration::is_right))
        && !may_have_references(list.get().as_bytes())
}

/// Whether the schema goes out as it is.
pub(super) fn is_right(raw: &RawValue) -> bool {
    if !serde_json::from_str::<Root<'_>>(raw.get()).is_ok_and(|root| root.is_object()) {
        return false;
    }
    if !may_have_references(raw.get().as_bytes()) {
        return true;
    }
    serde_json::from_str(raw.get()).is_ok_and(|schema: Value| references_are_right(&schema, &schema))
}

/// A key of a reference, or one that is written with an escape.
fn may_have_references(text: &[u8]) -> bool {
    memchr::memchr2(b'$', b'\\', text).is_some()
        && [&b"Ref\""[..], b"$ref\"", b"\\u0024"]
            .iter()
            .any(|word| memchr::memmem::find(text, word).is_some())
}

/// Every reference stands alone and leads somewhere.
fn references_are_right(root: &Value, schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return true };
    if REFERENCES.iter().any(|key| fields.contains_key(*key)) {
        let reference = fields.get("$ref").and_then(Value::as_str);
        return fields.len() == 1 && reference.is_some_and(|path| pointed_at(root, path).is_some());
    }
    let is_right = |child: &Value| references_are_right(root, child);
    fields.iter().all(|(key, value)| match (children_of(key), value) {
        (Some(Children::Named), Value::Object(named)) => named.values().all(is_right),
        (Some(Children::Schemas), Value::Array(children)) => children.iter().all(is_right),
        (Some(Children::Schemas), child) => is_right(child),
        (None | Some(Children::Named), _) => true,
    })
}
