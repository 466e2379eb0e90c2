//! A schema of objects as what it says of them: names, what must be there, what else may be. Unions and parts are merged into it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::document::{Document, MAX_DEPTH};
use super::{alternatives, list};

/// More ways to write a call are not listed.
const MAX_FORMS: usize = 12;
/// A longer list of ways is left out, in bytes.
const MAX_FORMS_TEXT: usize = 1500;
/// Fields that are true only of the place where they stood.
const OF_ONE_PLACE: [&str; 10] = [
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$comment",
    "$vocabulary",
    "unevaluatedProperties",
    "nullable",
];

/// What must stand in a call of one form: names, and the value where there is only one.
type CallForm = Vec<(String, Option<Value>)>;

/// The ways to write a call.
#[derive(Debug, Default)]
enum CallForms {
    /// There is one.
    #[default]
    One,
    /// There are these.
    Several(Vec<CallForm>),
    /// There are more than anybody would read.
    TooMany,
}

/// What a schema says of a name.
#[derive(Debug)]
struct Property {
    schema: Value,
    /// Whether every branch speaks of the name. Where one does not, it leaves it to what else is said of it.
    is_said_by_all: bool,
}

/// What is known about an object.
#[derive(Debug, Default)]
pub(super) struct ObjectShape {
    properties: Vec<(String, Property)>,
    /// The places of names in `properties`.
    places: HashMap<String, usize>,
    /// Names in their order; the values say nothing.
    required: Map<String, Value>,
    /// What other names may be; `None` where nothing is said.
    others: Option<Value>,
    forms: CallForms,
    /// Descriptions, patterns, numbers of properties and the like.
    rest: Map<String, Value>,
}

impl ObjectShape {
    /// What a schema says about objects. `None` where it takes none: such a branch of a union falls away.
    pub(super) fn read<'s>(document: &mut Document<'s>, schema: &'s Value, depth: usize) -> Option<Self> {
        let Some(fields) = schema.as_object().filter(|fields| depth == 0 || !fields.is_empty()) else {
            let anything = || Self { others: Some(json!(true)), ..Self::default() };
            return if schema == &json!(false) { None } else { Some(anything()) };
        };
        if !takes_objects(fields) {
            return None;
        }
        if depth > MAX_DEPTH {
            return Some(Self::default());
        }
        let mut shape = Self::default();
        for (key, value) in fields {
            let part = match key.as_str() {
                "type" | "not" | "then" | "else" | "$defs" | "definitions" => continue,
                "required" => Self { required: names(value), ..Self::default() },
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    let target = value.as_str().and_then(|reference| document.target(reference));
                    let Some(target) = target.filter(|target| document.may_open(target)) else { continue };
                    document.inside(target, |document| Self::read(document, target, depth + 1))?
                }
                "allOf" => {
                    let mut all = Self::default();
                    for part in list(fields, key) {
                        all = all.and(Self::read(document, part, depth + 1)?, document);
                    }
                    all
                }
                "anyOf" | "oneOf" => {
                    let options = list(fields, key).iter();
                    Self::any(options.filter_map(|option| Self::read(document, option, depth + 1)).collect())
                }
                // The condition itself demands nothing.
                "if" => {
                    let branches = ["then", "else"].map(|key| {
                        let branch =
                            fields.get(key).and_then(|schema| Self::read(document, schema, depth + 1));
                        branch.unwrap_or_default()
                    });
                    Self { forms: CallForms::One, ..Self::any(branches.into()) }
                }
                "enum" => Self::any(list(fields, key).iter().filter_map(Self::of_value).collect()),
                "const" => Self::of_value(value).unwrap_or_default(),
                key => Self::of_field(key, document.child(key, value, depth)),
            };
            shape = shape.and(part, document);
        }
        if depth > 0 {
            let own = CallForms::Several(vec![shape.form()]);
            shape.forms = own.and(std::mem::take(&mut shape.forms));
        }
        Some(shape)
    }

    /// What a field says that is no union and no reference.
    fn of_field(key: &str, value: Value) -> Self {
        let mut shape = Self::default();
        match (key, value) {
            ("properties", Value::Object(named)) => {
                for (name, schema) in named {
                    shape.put(name, Property { schema, is_said_by_all: true });
                }
            }
            ("properties", _) => {}
            ("additionalProperties", value) => shape.others = Some(value),
            (key, value) => {
                shape.rest.insert(key.to_owned(), value);
            }
        }
        shape
    }

    fn put(&mut self, name: String, property: Property) {
        self.places.insert(name.clone(), self.properties.len());
        self.properties.push((name, property));
    }

    /// The one object that a constant is.
    fn of_value(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let mut shape = Self { others: Some(json!(false)), ..Self::default() };
        for (name, value) in fields {
            shape.required.insert(name.clone(), Value::Null);
            shape.put(name.clone(), Property { schema: json!({ "const": value }), is_said_by_all: true });
        }
        shape.forms = CallForms::Several(vec![shape.form()]);
        Some(shape)
    }

    /// One of several: all names with the values of all; required is what all require.
    pub(super) fn any(mut shapes: Vec<Self>) -> Self {
        if shapes.len() < 2 {
            return shapes.pop().unwrap_or_default();
        }
        // Branches that leave it open what names of which they do not speak may be.
        let open = shapes.iter().filter(|shape| shape.others.is_none()).count();
        let stated: Vec<Value> = shapes
            .iter()
            .filter_map(|shape| shape.others.clone())
            .filter(|others| others != &json!(false))
            .collect();
        let has_patterns = shapes.iter().any(|shape| shape.rest.contains_key("patternProperties"));
        let all = shapes.len();
        let mut out = Self::default();
        let mut options: Vec<(Vec<Value>, usize)> = Vec::new();
        for (count, shape) in shapes.into_iter().enumerate() {
            if count == 0 {
                (out.required, out.others, out.forms) = (shape.required, shape.others.clone(), shape.forms);
            } else {
                out.required.retain(|name, _| shape.required.contains_key(name));
                out.others = either_others(out.others, shape.others.clone());
                out.forms = out.forms.or(shape.forms);
            }
            for (name, property) in shape.properties {
                let place = out.places.get(&name).copied().unwrap_or(options.len());
                if place == options.len() {
                    options.push((Vec::new(), 0));
                    out.put(name, Property { schema: Value::Null, is_said_by_all: true });
                }
                options[place].0.push(property.schema);
                options[place].1 += usize::from(shape.others.is_none() && property.is_said_by_all);
            }
        }
        for ((_, property), (mut options, said)) in out.properties.iter_mut().zip(options) {
            if options.len() < all {
                options.extend(stated.iter().cloned());
            }
            *property = Property { schema: alternatives::any(options), is_said_by_all: said == open };
        }
        if has_patterns {
            out.others = out.others.filter(|others| others == &json!(true));
        }
        out
    }

    /// Both hold: all names, all that either requires.
    fn and(mut self, other: Self, document: &mut Document<'_>) -> Self {
        for (name, property) in other.properties {
            let Some((_, known)) = self.places.get(&name).and_then(|place| self.properties.get_mut(*place))
            else {
                self.put(name, property);
                continue;
            };
            let schema = known.schema.take();
            // What only some branches say narrows nothing, and is still to be seen.
            let schema = if known.is_said_by_all && property.is_said_by_all {
                document.both(schema, property.schema)
            } else {
                alternatives::any(vec![schema, property.schema])
            };
            *known = Property { schema, is_said_by_all: known.is_said_by_all || property.is_said_by_all };
        }
        self.required.extend(other.required);
        self.others = match (self.others, other.others) {
            (None, others) | (others, None) => others,
            (Some(one), Some(other)) => {
                let counts = other == json!(false) || one == json!(true);
                Some(if counts { other } else { one })
            }
        };
        for (key, value) in other.rest {
            let both = match self.rest.get_mut(&key).map(Value::take) {
                Some(known) if key == "patternProperties" => document.both_named(known, value),
                Some(known) => known,
                None => value,
            };
            self.rest.insert(key, both);
        }
        self.forms = self.forms.and(other.forms);
        self
    }

    /// What a call must have.
    fn form(&self) -> CallForm {
        let value = |name: &String| {
            let (_, property) = self.properties.get(*self.places.get(name)?)?;
            alternatives::only_value(&property.schema)
        };
        self.required.keys().map(|name| (name.clone(), value(name))).collect()
    }

    /// The schema, of type object and nothing else.
    pub(super) fn write(mut self, out: &mut Map<String, Value>) {
        out.insert("type".to_owned(), json!("object"));
        let mut description = self.rest.shift_remove("description");
        if let Some(forms) = self.forms.text() {
            let said = description.as_ref().and_then(Value::as_str).unwrap_or_default();
            let space = if said.is_empty() { "" } else { " " };
            description = Some(json!(format!("{said}{space}{forms}")));
        }
        for (key, value) in [("title", self.rest.shift_remove("title")), ("description", description)] {
            if let Some(value) = value {
                out.insert(key.to_owned(), value);
            }
        }
        let properties = self.properties.into_iter().map(|(name, property)| (name, property.schema));
        out.insert("properties".to_owned(), Value::Object(properties.collect()));
        if !self.required.is_empty() {
            out.insert("required".to_owned(), self.required.keys().cloned().collect());
        }
        if let Some(others) = self.others.filter(|others| others != &json!(true) && others != &json!({})) {
            out.insert("additionalProperties".to_owned(), others);
        }
        for (key, value) in self.rest {
            if !OF_ONE_PLACE.contains(&key.as_str()) {
                out.entry(key).or_insert(value);
            }
        }
    }
}

impl CallForms {
    fn of(forms: Vec<CallForm>) -> Self {
        if forms.len() > MAX_FORMS { Self::TooMany } else { Self::Several(forms) }
    }

    /// The ways of one branch and those of another.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Several(mut forms), Self::Several(more)) => {
                forms.extend(more);
                Self::of(forms)
            }
            (Self::TooMany, _) | (_, Self::TooMany) => Self::TooMany,
            (Self::One, forms) | (forms, Self::One) => forms,
        }
    }

    /// Each way of one part with each of another.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Several(one), Self::Several(other)) if one.len() * other.len() <= MAX_FORMS => {
                let pairs = one.iter().flat_map(|one| other.iter().map(move |other| joined(one, other)));
                Self::Several(pairs.collect())
            }
            (Self::Several(_) | Self::TooMany, Self::Several(_)) | (_, Self::TooMany) => Self::TooMany,
            (forms, Self::One) | (Self::One, forms) => forms,
        }
    }

    /// The ways in words, where there are several: merging forgets which names belong together.
    fn text(&self) -> Option<String> {
        let Self::Several(several) = self else { return None };
        let mut forms: Vec<String> = Vec::new();
        for form in several.iter().filter(|form| !form.is_empty()) {
            let names = form.iter().map(|(name, value)| match value {
                Some(value) => format!("`{name}` = {value}"),
                None => format!("`{name}`"),
            });
            let text = names.collect::<Vec<_>>().join(", ");
            if !forms.contains(&text) {
                forms.push(text);
            }
        }
        let text = format!("Give one of these sets of arguments: {}.", forms.join("; or "));
        let is_choice = forms.len() > 1 && several.iter().all(|form| !form.is_empty());
        (is_choice && text.len() <= MAX_FORMS_TEXT).then_some(text)
    }
}

/// What other names may be in either of two branches. Where one says what they may be and the other leaves it open, they may be
/// anything, and that is said.
fn either_others(one: Option<Value>, other: Option<Value>) -> Option<Value> {
    let is_no = |others: &Option<Value>| others.as_ref() == Some(&json!(false));
    match (one, other) {
        (one, other) if one == other => one,
        (None, no) | (no, None) if is_no(&no) => None,
        (None, _) | (_, None) => Some(json!(true)),
        (Some(one), Some(other)) => {
            let options = [one, other].into_iter().filter(|others| others != &json!(false));
            Some(alternatives::any(options.collect()))
        }
    }
}

/// What must stand in a call that is of both forms.
fn joined(one: &CallForm, other: &CallForm) -> CallForm {
    let mut form = one.clone();
    for (name, value) in other {
        match form.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = known.take().or_else(|| value.clone()),
            None => form.push((name.clone(), value.clone())),
        }
    }
    form
}

/// Whether a schema's type and values leave room for an object.
fn takes_objects(fields: &Map<String, Value>) -> bool {
    let is_object = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case("object"));
    let by_type = match fields.get("type") {
        None | Some(Value::Null) => true,
        Some(Value::Array(names)) => names.iter().any(is_object),
        Some(name) => is_object(name),
    };
    let listed = fields.get("enum").and_then(Value::as_array);
    by_type
        && fields.get("const").is_none_or(Value::is_object)
        && listed.is_none_or(|values| values.iter().any(Value::is_object))
}

fn names(list: &Value) -> Map<String, Value> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), Value::Null)).collect()
}
