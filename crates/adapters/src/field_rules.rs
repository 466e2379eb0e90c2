//! What an endpoint takes in single fields of a request, and how a written request is made to follow that: the same for every protocol,
//! translated or passed on. Pure.

use std::collections::BTreeMap;

use latimer_protocol::turn::Note;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::fields::Fields;
use crate::nearest::nearest;
use crate::prepared_request::{PreparedRequest, WireProtocol};

/// The rule about the most tokens of an answer, whatever the protocol calls it.
pub const MAX_OUTPUT: &str = "max_output_tokens";
/// The rule about prompt and answer together. It changes no field; who writes a request reckons with it.
pub const CONTEXT_WINDOW: &str = "context_window";
/// Sent where a protocol demands a number and nothing is known of how large it may be.
const CAUTIOUS_OUTPUT: u64 = 4096;
/// The least Messages takes for thinking, in tokens.
const MIN_THINKING_BUDGET: u64 = 1024;

/// What an endpoint takes in one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldRule {
    /// One of these values.
    OneOf(Vec<String>),
    /// A number in this range, both ends included.
    Range {
        /// The least.
        min: Option<f64>,
        /// The most.
        max: Option<f64>,
    },
    /// It is not known: it is left out.
    Absent,
}

impl FieldRule {
    /// At most so many tokens.
    pub fn at_most(tokens: u64) -> Self {
        Self::Range { min: None, max: Some(to_float(tokens)) }
    }

    /// Between so many tokens, where an end is known.
    pub fn between(min: Option<u64>, max: Option<u64>) -> Self {
        Self::Range { min: min.map(to_float), max: max.map(to_float) }
    }

    /// What is done about it, for people.
    pub fn meaning(&self, field: &str) -> String {
        match self {
            Self::OneOf(values) => format!("`{field}` is one of {}", values.join(", ")),
            Self::Range { min: Some(min), max: Some(max) } => format!("`{field}` is between {min} and {max}"),
            Self::Range { min: None, max: Some(max) } => format!("`{field}` is at most {max}"),
            Self::Range { min: Some(min), max: None } => format!("`{field}` is at least {min}"),
            Self::Range { min: None, max: None } => format!("`{field}` is a number"),
            Self::Absent => format!("`{field}` is left out"),
        }
    }
}

/// What an endpoint takes in the fields of a request, by their path in its protocol: `reasoning.effort`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldRules(BTreeMap<String, FieldRule>);

impl FieldRules {
    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rule about a field.
    pub fn get(&self, field: &str) -> Option<&FieldRule> {
        self.0.get(field)
    }

    /// All of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldRule)> {
        self.0.iter().map(|(field, rule)| (field.as_str(), rule))
    }

    /// Adds a rule. Of two ranges each end counts that is known, and the newer one first.
    pub fn set(&mut self, field: &str, rule: FieldRule) {
        let rule = match (self.0.get(field), rule) {
            (Some(FieldRule::Range { min, max }), FieldRule::Range { min: new_min, max: new_max }) => {
                FieldRule::Range { min: new_min.or(*min), max: new_max.or(*max) }
            }
            (_, rule) => rule,
        };
        self.0.insert(field.to_owned(), rule);
    }

    /// Makes sure that no answer of more than so many tokens is asked for.
    pub fn cap_output(&mut self, tokens: u64) {
        let known = self.max_output().unwrap_or(u64::MAX);
        self.set(MAX_OUTPUT, FieldRule::at_most(tokens.min(known)));
    }

    /// The most tokens of an answer.
    pub fn max_output(&self) -> Option<u64> {
        self.count(MAX_OUTPUT)
    }

    /// The tokens of prompt and answer together.
    pub fn window(&self) -> Option<u64> {
        self.count(CONTEXT_WINDOW)
    }

    fn count(&self, field: &str) -> Option<u64> {
        match self.0.get(field)? {
            FieldRule::Range { max, .. } => max.and_then(to_count),
            FieldRule::OneOf(_) | FieldRule::Absent => None,
        }
    }

    /// The body of a written request as these rules want it; `None` where it follows them already. What was changed is told by
    /// `note`.
    pub fn apply(
        &self,
        body: &[u8],
        protocol: WireProtocol,
        note: &mut dyn FnMut(String),
    ) -> Option<Vec<u8>> {
        let mut text: Option<String> = None;
        for (field, rule) in &self.0 {
            let current = match &text {
                Some(text) => text.as_str(),
                None => std::str::from_utf8(body).ok()?,
            };
            let changed = match field.as_str() {
                CONTEXT_WINDOW => None,
                MAX_OUTPUT => with_output(current, protocol, rule, note),
                "thinking.type" => with_thinking(current, rule, note),
                field => {
                    let steps: Vec<&str> = field.split('.').collect();
                    edit(current, &steps, &mut |value| followed(field, value, rule, note))
                }
            };
            text = changed.or(text);
        }
        text.map(String::into_bytes)
    }
}

/// A request as these rules want it. Every change is noted.
pub fn adjusted(mut request: PreparedRequest, rules: &FieldRules) -> PreparedRequest {
    if rules.is_empty() {
        return request;
    }
    let notes = &mut request.notes;
    let mut note = |text: String| notes.push(Note::request(text));
    if let Some(body) = rules.apply(&request.body, request.protocol, &mut note) {
        request.body = body.into();
    }
    request
}

/// Where a protocol has the most tokens of an answer.
fn output_paths(protocol: WireProtocol) -> &'static [&'static [&'static str]] {
    match protocol {
        WireProtocol::Chat => &[&["max_tokens"], &["max_completion_tokens"]],
        WireProtocol::Messages => &[&["max_tokens"]],
        WireProtocol::Responses => &[&["max_output_tokens"]],
        WireProtocol::Gemini => {
            &[&["generationConfig", "maxOutputTokens"], &["generation_config", "max_output_tokens"]]
        }
        WireProtocol::CommandCode => &[&["params", "max_tokens"]],
        WireProtocol::Agent => &[],
    }
}

/// How many tokens of an answer a written request asks for at most.
pub fn output_limit(body: &[u8], protocol: WireProtocol) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    output_paths(protocol).iter().find_map(|path| serde_json::from_str(find(text, path)?).ok())
}

/// The value at this path, as it is written.
pub fn find<'b>(text: &'b str, steps: &[&str]) -> Option<&'b str> {
    let (step, rest) = steps.split_first()?;
    let Fields(fields) = serde_json::from_str(text).ok()?;
    let value = fields.into_iter().find(|(name, _)| name == step)?.1.get();
    if rest.is_empty() { Some(value) } else { find(value, rest) }
}

/// What becomes of a value.
enum Edit {
    Keep,
    Replace(String),
    Remove,
}

/// The object with the value at this path changed; `None` where it stays as it is, or is not there.
fn edit(text: &str, steps: &[&str], change: &mut dyn FnMut(&RawValue) -> Edit) -> Option<String> {
    let (step, rest) = steps.split_first()?;
    let Fields(fields) = serde_json::from_str(text).ok()?;
    let (place, (_, value)) = fields.iter().enumerate().find(|(_, (name, _))| name == step)?;
    let new = if rest.is_empty() {
        match change(value) {
            Edit::Keep => return None,
            Edit::Replace(new) => Some(new),
            Edit::Remove => None,
        }
    } else {
        Some(edit(value.get(), rest, change)?)
    };
    let mut out = String::with_capacity(text.len() + 32);
    for (at, (name, value)) in fields.iter().enumerate() {
        let value = if at == place { new.as_deref() } else { Some(value.get()) };
        let Some(value) = value else { continue };
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&Value::from(name.as_ref()).to_string());
        out.push(':');
        out.push_str(value);
    }
    if out.is_empty() {
        out.push('{');
    }
    out.push('}');
    Some(out)
}

/// A value as the rule wants it.
fn followed(field: &str, value: &RawValue, rule: &FieldRule, note: &mut dyn FnMut(String)) -> Edit {
    if value.get() == "null" {
        return Edit::Keep;
    }
    match rule {
        FieldRule::Absent => {
            note(format!("`{field}` was left out: this endpoint refuses it"));
            Edit::Remove
        }
        FieldRule::OneOf(values) => {
            let wanted = serde_json::from_str::<String>(value.get()).ok();
            if wanted.as_ref().is_some_and(|wanted| values.contains(wanted)) {
                return Edit::Keep;
            }
            let Some(new) = nearest(wanted.as_deref().unwrap_or_default(), values) else {
                return Edit::Remove;
            };
            note(format!("`{field}` was set to `{new}`: this endpoint takes {}", values.join(", ")));
            Edit::Replace(Value::from(new).to_string())
        }
        FieldRule::Range { min, max } => {
            let Ok(number) = serde_json::from_str::<f64>(value.get()) else { return Edit::Keep };
            let new = number.max(min.unwrap_or(f64::NEG_INFINITY)).min(max.unwrap_or(f64::INFINITY));
            if (new - number).abs() < f64::EPSILON || !new.is_finite() {
                return Edit::Keep;
            }
            note(format!("`{field}` was set to {new}: that is as much as this endpoint takes"));
            Edit::Replace(written(new))
        }
    }
}

fn with_output(
    text: &str,
    protocol: WireProtocol,
    rule: &FieldRule,
    note: &mut dyn FnMut(String),
) -> Option<String> {
    // Where a number must be there, one that nearly every model takes.
    let needs_number = matches!(protocol, WireProtocol::Messages | WireProtocol::CommandCode);
    let cautious = FieldRule::at_most(CAUTIOUS_OUTPUT);
    let rule = if needs_number && *rule == FieldRule::Absent { &cautious } else { rule };
    let mut changed: Option<String> = None;
    for path in output_paths(protocol) {
        let current = changed.as_deref().unwrap_or(text);
        let new = edit(current, path, &mut |value| followed(path.last().unwrap_or(&""), value, rule, note));
        changed = new.or(changed);
    }
    let current = changed.as_deref()?;
    let limit = output_limit(current.as_bytes(), protocol);
    with_smaller_budget(current, protocol, limit).or(changed)
}

/// Thoughts are part of an answer: their budget stays below its limit.
fn with_smaller_budget(text: &str, protocol: WireProtocol, limit: Option<u64>) -> Option<String> {
    let limit = limit?;
    let path: &[&str] = match protocol {
        WireProtocol::Messages => &["thinking", "budget_tokens"],
        WireProtocol::Gemini => &["generationConfig", "thinkingConfig", "thinkingBudget"],
        WireProtocol::Chat => &["reasoning", "max_tokens"],
        WireProtocol::Responses | WireProtocol::CommandCode | WireProtocol::Agent => return None,
    };
    let budget: i64 = serde_json::from_str(find(text, path)?).ok()?;
    if u64::try_from(budget).ok()? < limit {
        return None;
    }
    let new = limit - limit.div_ceil(4);
    if protocol == WireProtocol::Messages && new < MIN_THINKING_BUDGET {
        // No room for both.
        return if limit > MIN_THINKING_BUDGET {
            edit(text, path, &mut |_| Edit::Replace(MIN_THINKING_BUDGET.to_string()))
        } else {
            edit(text, &["thinking"], &mut |_| Edit::Remove)
        };
    }
    edit(text, path, &mut |_| Edit::Replace(new.to_string()))
}

/// How a model is told to think: with another type, other fields stand beside it.
fn with_thinking(text: &str, rule: &FieldRule, note: &mut dyn FnMut(String)) -> Option<String> {
    let max = find(text, &["max_tokens"]).and_then(|text| serde_json::from_str::<u64>(text).ok());
    edit(text, &["thinking"], &mut |value| {
        let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(value.get()) else {
            return Edit::Keep;
        };
        let wanted = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        let new = match rule {
            FieldRule::OneOf(values) if values.iter().any(|value| value == wanted) => return Edit::Keep,
            FieldRule::OneOf(values) => match nearest(wanted, values) {
                Some(new) => new,
                None => return Edit::Remove,
            },
            FieldRule::Absent => return Edit::Remove,
            FieldRule::Range { .. } => return Edit::Keep,
        };
        note(format!("`thinking.type` was set to `{new}`: this endpoint does not take `{wanted}`"));
        if new == "enabled" {
            let budget = max.map_or(MIN_THINKING_BUDGET, |max| (max / 2).max(MIN_THINKING_BUDGET));
            fields.entry("budget_tokens").or_insert_with(|| Value::from(budget));
        } else {
            fields.shift_remove("budget_tokens");
        }
        fields.insert("type".to_owned(), Value::from(new));
        Edit::Replace(Value::Object(fields).to_string())
    })
}

/// A number as JSON writes it; whole ones without a point.
fn written(number: f64) -> String {
    to_count(number).map_or_else(|| Value::from(number).to_string(), |count| count.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of tokens are far below 2^52")]
fn to_float(tokens: u64) -> f64 {
    tokens as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn to_count(number: f64) -> Option<u64> {
    ((0.0..9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests;
