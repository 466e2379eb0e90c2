//! One entry of `models` to a [`Model`], over what the presets' table knows of it.

use crate::config::presets::{KnownModels, Preset};
use crate::config::read::{ProblemCollector, Table, Value};
use crate::config::schema;
use crate::config::{Effort, Model, Origin, Price};

/// A model by its name: what the table knows of it.
pub(super) fn known_model(preset: Option<&Preset>, id: String) -> Model {
    let known = preset.and_then(|preset| KnownModels::get().find(preset.name, &id));
    known.map_or_else(|| Model::named(id), |known| known.model.clone())
}

/// A model as it is written: a name, or a table whose keys go before what is known.
pub(super) fn model(
    value: &Value<'_, '_>,
    preset: Option<&Preset>,
    notes: &mut ProblemCollector<'_>,
) -> Option<Model> {
    if value.is_string() {
        return value.string(notes).map(|id| known_model(preset, id));
    }
    let table = value.table(notes)?;
    table.only(&schema::MODEL, notes);
    let id = table.string("id", notes);
    if table.get("id").is_none() {
        notes.problem(
            value.span.clone(),
            &format!("{}.id", value.path),
            "is missing; write { id = \"…\" } or just the name",
        );
    }
    let mut model = known_model(preset, id.clone().unwrap_or_default());
    model.context_window = table.number("context_window", notes).or(model.context_window);
    if let Some(tokens) = max_output(&table, notes) {
        (model.max_output, model.max_output_origin) = (Some(tokens), Origin::File);
    }
    model.images = table.boolean("images", notes).or(model.images);
    model.tools = table.boolean("tools", notes).or(model.tools);
    let efforts = table.get("efforts").map(|value| efforts(&value, notes));
    let reasoning = table.boolean("reasoning", notes);
    // One who says that it thinks, or how much, has said all of it.
    model.reasoning = reasoning.or(efforts.as_ref().map(|efforts| !efforts.is_empty())).or(model.reasoning);
    match efforts {
        Some(efforts) => model.efforts = efforts,
        None if reasoning == Some(false) => model.efforts.clear(),
        None => {}
    }
    if let Some(table) = table.table("price", notes) {
        (model.price, model.price_origin) = (price(&table, notes), Origin::File);
    }
    id.map(|_| model)
}

/// Levels in their order, each once.
fn efforts(value: &Value<'_, '_>, notes: &mut ProblemCollector<'_>) -> Vec<Effort> {
    let mut efforts = Vec::new();
    for (span, word) in value.strings(notes) {
        if let Some(effort) = Effort::of(&word) {
            efforts.push(effort);
        } else {
            let words: Vec<&str> = Effort::NAMES.iter().map(|(name, _)| *name).collect();
            notes.problem(span, &value.path, format!("should hold words out of: {}", words.join(", ")));
        }
    }
    efforts.sort_unstable();
    efforts.dedup();
    efforts
}

/// An answer of no token is none.
fn max_output(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<u64> {
    let tokens = table.number("max_output", notes);
    if let (Some(0), Some(value)) = (tokens, table.get("max_output")) {
        notes.problem(value.span.clone(), &value.path, "must be at least 1");
        return None;
    }
    tokens
}

/// Dollars in the file, millionths of them inside.
fn price(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Price {
    table.only(&schema::PRICE, notes);
    Price {
        input: table.millionths("input", notes),
        cached: table.millionths("cached", notes),
        output: table.millionths("output", notes),
    }
}
