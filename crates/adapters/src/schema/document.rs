//! A schema as a document: where its references lead, and its parts without those that nobody could follow.

use serde_json::{Map, Value, json};

use super::{alternatives, type_alone};
use crate::percent;

/// Deeper parts are cut.
pub(super) const MAX_DEPTH: usize = 64;
/// The most that references may add to what the client wrote, in bytes.
pub(super) const MAX_INLINED: usize = 256 << 10;
/// The most references that lead to a reference.
const MAX_HOPS: usize = 32;

/// Keys of references.
pub(super) const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Where a document keeps schemas that are only referred to.
pub(super) const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// What stands below a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    /// A schema, or a list of them.
    Schemas,
    /// Schemas under names of the client's choice.
    Named,
}

/// The keys below which there are schemas. Everything else is data.
const CHILDREN: [(&str, Children); 22] = [
    ("properties", Children::Named),
    ("patternProperties", Children::Named),
    ("dependentSchemas", Children::Named),
    ("$defs", Children::Named),
    ("definitions", Children::Named),
    ("items", Children::Schemas),
    ("prefixItems", Children::Schemas),
    ("additionalItems", Children::Schemas),
    ("contains", Children::Schemas),
    ("additionalProperties", Children::Schemas),
    ("propertyNames", Children::Schemas),
    ("unevaluatedItems", Children::Schemas),
    ("unevaluatedProperties", Children::Schemas),
    ("not", Children::Schemas),
    ("if", Children::Schemas),
    ("then", Children::Schemas),
    ("else", Children::Schemas),
    ("anyOf", Children::Schemas),
    ("oneOf", Children::Schemas),
    ("allOf", Children::Schemas),
    ("extends", Children::Schemas),
    ("contentSchema", Children::Schemas),
];

/// What stands below a key; `None` for data.
pub(super) fn children_of(key: &str) -> Option<Children> {
    CHILDREN.iter().find(|(name, _)| *name == key).map(|(_, children)| *children)
}

/// A schema of a tool while it is lowered.
///
/// Invariant: a reference is never inlined inside of itself, and all references together add hardly more than [`MAX_INLINED`].
pub(super) struct Document<'s> {
    root: &'s Value,
    /// What is being inlined.
    open: Vec<&'s Value>,
    inlined: usize,
    /// Definitions that references go on leading to: key and name.
    needed: Vec<(&'static str, &'s str)>,
    /// Those that stand elsewhere than at the root, made when one is looked for.
    nested: Option<Vec<(&'s str, &'s Value)>>,
}

impl<'s> Document<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        Self { root, open: Vec::new(), inlined: 0, needed: Vec::new(), nested: None }
    }

    /// The same with less room for what references add; what was added goes to `spent`.
    pub(super) fn read<T>(root: &'s Value, spent: &mut usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut document = Self { inlined: *spent, ..Self::new(root) };
        let value = read(&mut document);
        *spent = document.inlined;
        value
    }

    /// The definitions that are still referred to, in their order.
    pub(super) fn definitions(&mut self) -> Vec<(&'static str, Map<String, Value>)> {
        let mut done = 0;
        let mut cleaned: Vec<Value> = Vec::new();
        while let Some((key, name)) = self.needed.get(done).copied() {
            let definition = self.root.get(key).and_then(|all| all.get(name)).unwrap_or(&Value::Null);
            let definition = self.clean(definition, 1);
            cleaned.push(definition);
            done += 1;
        }
        let mut out = Vec::new();
        for key in DEFINITIONS {
            let all = self.root.get(key).and_then(Value::as_object);
            let mut kept = Map::new();
            for name in all.into_iter().flat_map(Map::keys) {
                let place = self.needed.iter().position(|(other, needed)| *other == key && needed == name);
                if let Some(definition) = place.and_then(|place| cleaned.get_mut(place)) {
                    kept.insert(name.clone(), definition.take());
                }
            }
            if !kept.is_empty() {
                out.push((key, kept));
            }
        }
        out
    }

    /// A part with references that can be followed, and none that has something beside it.
    pub(super) fn clean(&mut self, schema: &'s Value, depth: usize) -> Value {
        let Some(fields) = schema.as_object() else { return schema.clone() };
        if depth > MAX_DEPTH {
            return type_alone(schema);
        }
        let Some(reference) = reference(fields) else { return Value::Object(self.children(fields, depth)) };
        let definition = self.definition(reference);
        let Some(target) = self.target(reference) else {
            // It leads nowhere: what stands beside it is all that is known.
            return Value::Object(self.children(fields, depth));
        };
        let stands_alone = fields.len() == 1;
        if let Some(definition) = definition
            && (stands_alone || !self.may_open(target))
        {
            if !self.needed.contains(&definition) {
                self.needed.push(definition);
            }
            return json!({ "$ref": reference });
        }
        let beside = self.children(fields, depth);
        if !self.may_open(target) {
            let alone = type_alone(target);
            let alone = if alone.get("type").is_some() { alone } else { json!({ "type": "object" }) };
            return self.both(Value::Object(beside), alone);
        }
        let inlined = self.inside(target, |document| document.clean(target, depth + 1));
        self.both(Value::Object(beside), inlined)
    }

    /// Reads a part that a reference leads to.
    pub(super) fn inside<T>(&mut self, target: &'s Value, read: impl FnOnce(&mut Self) -> T) -> T {
        self.open.push(target);
        let value = read(self);
        self.open.pop();
        value
    }

    /// Whether a part may be inlined here: it is not being inlined already, and not too much was.
    pub(super) fn may_open(&self, target: &Value) -> bool {
        self.inlined < MAX_INLINED && !self.open.iter().any(|open| std::ptr::eq(*open, target))
    }

    /// Both hold. References are opened, for nothing may stand beside one.
    pub(super) fn both(&mut self, one: Value, other: Value) -> Value {
        alternatives::both(one, other, &mut |schema| self.opened(schema))
    }

    /// Both hold, of schemas under names.
    pub(super) fn both_named(&mut self, one: Value, other: Value) -> Value {
        let named = |schema: Value| json!({ "properties": schema });
        let both = self.both(named(one), named(other));
        both.get("properties").cloned().unwrap_or_default()
    }

    /// A part that is a reference, as what it refers to, as far as that may be.
    fn opened(&mut self, schema: Value) -> Value {
        let Some(reference) = schema.as_object().and_then(reference) else { return schema };
        let Some(target) = self.target(reference).filter(|target| self.may_open(target)) else {
            return json!({});
        };
        self.inside(target, |document| {
            let opened = document.clean(target, 1);
            // What it refers to may be a reference again.
            document.opened(opened)
        })
    }

    /// What is read below a reference is counted.
    pub(super) fn count(&mut self, key: &str, value: &Value) {
        if !self.open.is_empty() {
            let data = if children_of(key).is_none() { weight(value) } else { 0 };
            self.inlined += 8 + key.len() + data;
        }
    }

    fn children(&mut self, fields: &'s Map<String, Value>, depth: usize) -> Map<String, Value> {
        let mut out = Map::new();
        let mut more = Vec::new();
        for (key, value) in fields {
            match key.as_str() {
                // Whatever refers to a definition that is not at the root was inlined.
                key if DEFINITIONS.contains(&key) || REFERENCES.contains(&key) => {}
                // What is allowed inside of these forbids outside, and here nothing may be forbidden that was allowed.
                "not" | "then" | "else" => {}
                "if" => {
                    let branches = ["then", "else"].map(|key| match fields.get(key) {
                        Some(branch) => self.clean(branch, depth + 1),
                        None => json!({}),
                    });
                    more.push(json!(branches));
                }
                "oneOf" => more.push(self.child(key, value, depth)),
                key => {
                    let child = self.child(key, value, depth);
                    out.insert(key.to_owned(), child);
                }
            }
        }
        for options in more {
            add_options(&mut out, options);
        }
        out
    }

    /// The value of a field: schemas, or data.
    pub(super) fn child(&mut self, key: &str, value: &'s Value, depth: usize) -> Value {
        self.count(key, value);
        match (children_of(key), value) {
            (Some(Children::Named), Value::Object(named)) => Value::Object(
                named.iter().map(|(name, child)| (name.clone(), self.clean(child, depth + 1))).collect(),
            ),
            (Some(Children::Schemas), Value::Array(all)) => {
                Value::Array(all.iter().map(|child| self.clean(child, depth + 1)).collect())
            }
            (Some(Children::Schemas), child) => self.clean(child, depth + 1),
            (None | Some(Children::Named), value) => value.clone(),
        }
    }

    /// The definition at the root that a reference leads to. Such a reference may stay.
    fn definition(&self, reference: &str) -> Option<(&'static str, &'s str)> {
        let path = reference.strip_prefix("#/")?;
        let (key, name) = path.split_once('/')?;
        let key = DEFINITIONS.into_iter().find(|known| *known == key)?;
        let name = name_of(name);
        let all = self.root.get(key)?.as_object()?;
        all.keys().find(|known| known.as_str() == name).map(|known| (key, known.as_str()))
    }

    /// What a reference leads to, through other references that stand alone.
    pub(super) fn target(&mut self, reference: &str) -> Option<&'s Value> {
        let mut target = self.pointed_at(reference)?;
        for _ in 0..MAX_HOPS {
            let fields = target.as_object().filter(|fields| fields.len() == 1);
            let Some(next) = fields.and_then(self::reference) else { return Some(target) };
            target = self.pointed_at(next)?;
        }
        None
    }

    fn pointed_at(&mut self, reference: &str) -> Option<&'s Value> {
        if let Some(target) = pointed_at(self.root, reference) {
            return Some(target);
        }
        // A schema that somebody put into another one took its definitions along, and its references still begin at its own root.
        let path = reference.strip_prefix('#')?;
        let name =
            DEFINITIONS.iter().find_map(|key| path.strip_prefix('/')?.strip_prefix(key)?.strip_prefix('/'));
        let name = name.map_or_else(|| path.to_owned(), name_of);
        let root = self.root;
        let nested = self.nested.get_or_insert_with(|| {
            let mut all = Vec::new();
            nested_definitions(root, &mut all, 0);
            all
        });
        nested.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
    }
}

/// Adds alternatives to a schema's fields: one of these as well.
fn add_options(fields: &mut Map<String, Value>, options: Value) {
    if !fields.contains_key("anyOf") {
        fields.insert("anyOf".to_owned(), options);
        return;
    }
    let parts = fields.entry("allOf").or_insert_with(|| json!([]));
    if let Some(parts) = parts.as_array_mut() {
        parts.push(json!({ "anyOf": options }));
    }
}

/// The reference in a schema's fields.
pub(super) fn reference(fields: &Map<String, Value>) -> Option<&str> {
    REFERENCES.iter().find_map(|key| fields.get(*key)).and_then(Value::as_str)
}

/// What a JSON pointer behind `#` leads to.
pub(super) fn pointed_at<'v>(root: &'v Value, reference: &str) -> Option<&'v Value> {
    let path = reference.strip_prefix('#')?;
    let target = root.pointer(path).or_else(|| root.pointer(&percent::decoded(path)))?;
    (target.is_object() || target.is_boolean()).then_some(target)
}

/// A name in a pointer, without its escapes.
fn name_of(part: &str) -> String {
    percent::decoded(part).replace("~1", "/").replace("~0", "~")
}

/// About how many bytes a value has.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(values) => values.iter().map(weight).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 5,
    }
}

/// Definitions below other places than the root, and parts with an anchor, by name.
fn nested_definitions<'s>(schema: &'s Value, all: &mut Vec<(&'s str, &'s Value)>, depth: usize) {
    let Some(fields) = schema.as_object().filter(|_| depth <= MAX_DEPTH) else { return };
    for key in ["$anchor", "$dynamicAnchor"] {
        if let Some(name) = fields.get(key).and_then(Value::as_str) {
            all.push((name, schema));
        }
    }
    for (key, value) in fields {
        match (children_of(key), value) {
            (Some(Children::Named), Value::Object(named)) => {
                for (name, child) in named {
                    if DEFINITIONS.contains(&key.as_str()) {
                        all.push((name, child));
                    }
                    nested_definitions(child, all, depth + 1);
                }
            }
            (Some(Children::Schemas), Value::Array(children)) => {
                for child in children {
                    nested_definitions(child, all, depth + 1);
                }
            }
            (Some(Children::Schemas), child) => nested_definitions(child, all, depth + 1),
            (None | Some(Children::Named), _) => {}
        }
    }
}
