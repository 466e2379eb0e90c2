//! Alternatives for a provider that has none: those that are objects become one, so that every name and value is seen.

use serde_json::{Map, Value};

use super::document::{Children, Document, MAX_DEPTH, children_of, reference};
use super::list;
use super::object_shape::ObjectShape;

/// The schema with the alternatives inside of its properties merged, as far as they are objects. References still begin at `root`.
pub(super) fn merged(root: &Value) -> Value {
    let mut merger = Merger { root, spent: 0 };
    merger.schema(root, 0)
}

struct Merger<'r> {
    root: &'r Value,
    /// What references added to the schema, in bytes.
    spent: usize,
}

impl Merger<'_> {
    fn schema(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(fields) = schema.as_object().filter(|_| depth <= MAX_DEPTH) else { return schema.clone() };
        let fields = fields.iter().map(|(key, value)| {
            let value = match (children_of(key), value) {
                (Some(Children::Named), Value::Object(named)) => Value::Object(
                    named.iter().map(|(name, child)| (name.clone(), self.schema(child, depth + 1))).collect(),
                ),
                (Some(Children::Schemas), Value::Array(options)) if key == "anyOf" => {
                    let options = self.options(options);
                    options.iter().map(|option| self.schema(option, depth + 1)).collect()
                }
                (Some(Children::Schemas), Value::Array(all)) => {
                    all.iter().map(|child| self.schema(child, depth + 1)).collect()
                }
                (Some(Children::Schemas), child) => self.schema(child, depth + 1),
                (None | Some(Children::Named), value) => value.clone(),
            };
            (key.clone(), value)
        });
        Value::Object(fields.collect())
    }

    /// The options, of which those that are objects became the first of them.
    fn options(&mut self, options: &[Value]) -> Vec<Value> {
        let root = self.root;
        let (objects, first) = Document::read(root, &mut self.spent, |document| {
            let is_object: Vec<bool> = options.iter().map(|option| is_object(document, option)).collect();
            let first = is_object.iter().position(|is_object| *is_object);
            (is_object, first)
        });
        let Some(first) = first.filter(|_| objects.iter().filter(|is_object| **is_object).count() > 1) else {
            return options.to_vec();
        };
        let shapes = Document::read(root, &mut self.spent, |document| {
            let objects = options.iter().zip(&objects).filter(|(_, is_object)| **is_object);
            objects.filter_map(|(option, _)| ObjectShape::read(document, option, 1)).collect()
        });
        let mut merged = Map::new();
        ObjectShape::any(shapes).write(&mut merged);
        let others = options.iter().zip(&objects).enumerate().filter_map(|(place, (option, is_object))| {
            let is_first = place == first;
            (is_first || !is_object)
                .then(|| if is_first { Value::Object(merged.clone()) } else { option.clone() })
        });
        others.collect()
    }
}

/// Whether a part speaks of objects and nothing else.
fn is_object<'s>(document: &mut Document<'s>, schema: &'s Value) -> bool {
    let Some(fields) = schema.as_object() else { return false };
    let says_so = |fields: &Map<String, Value>| match fields.get("type") {
        Some(kind) => kind.as_str() == Some("object"),
        None => fields.contains_key("properties"),
    };
    if fields.contains_key("type") || fields.contains_key("properties") {
        return says_so(fields);
    }
    if !list(fields, "anyOf").is_empty() {
        return list(fields, "anyOf").iter().all(|option| is_object(document, option));
    }
    let target = reference(fields).and_then(|reference| document.target(reference));
    target.and_then(Value::as_object).is_some_and(says_so)
}
