//! The table of the presets' models: windows, answers, efforts, pictures, tools and prices, as two public catalogues had them on one day.
//!
//! `models.json` beside this file is written by `cargo xtask models`, and names its sources. What the configuration says of a model goes
//! before it. Models age faster than releases: what is not in the table is not known, and never guessed.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::config::{Effort, Model, Origin, Price};

/// A model of the table.
#[derive(Debug)]
pub struct KnownModel {
    /// What is known of it.
    pub model: Model,
    /// The package that its price, or without one all of it, is from.
    pub source: &'static str,
    /// The day from which its provider does not serve it any more, as `2026-11-30`.
    pub retires: Option<&'static str>,
}

/// The whole table.
#[derive(Debug, Default)]
pub struct KnownModels {
    /// The day on which the catalogues were read, as `2026-11-29`.
    pub seen: &'static str,
    presets: HashMap<&'static str, Vec<KnownModel>>,
    same: HashMap<&'static str, &'static str>,
}

impl KnownModels {
    /// The table, read at its first use.
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<KnownModels> = OnceLock::new();
        // It is a part of the program, and a test reads it: there is nobody to tell of an error.
        TABLE.get_or_init(|| read(include_str!("models.json")).unwrap_or_default())
    }

    /// Every model of a preset that is known, by name.
    pub fn of_preset(&self, preset: &str) -> &[KnownModel] {
        let preset = self.same.get(preset).copied().unwrap_or(preset);
        self.presets.get(preset).map_or(&[], Vec::as_slice)
    }

    /// What is known of a preset's model. Case matters, as it does to providers.
    pub fn find(&self, preset: &str, id: &str) -> Option<&KnownModel> {
        let models = self.of_preset(preset);
        models
            .binary_search_by(|known| known.model.id.as_str().cmp(id))
            .ok()
            .and_then(|place| models.get(place))
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(borrow)]
    seen: &'static str,
    sources: HashMap<&'static str, &'static str>,
    same: HashMap<&'static str, &'static str>,
    presets: HashMap<&'static str, HashMap<&'static str, Row>>,
}

#[derive(Deserialize)]
struct Row {
    window: Option<u64>,
    output: Option<u64>,
    thinks: Option<bool>,
    #[serde(default)]
    efforts: Vec<&'static str>,
    images: Option<bool>,
    tools: Option<bool>,
    /// Input, cached input, output.
    price: Option<(f64, Option<f64>, f64)>,
    retires: Option<&'static str>,
    from: Option<&'static str>,
}

/// The name of the catalogue that a row without one is from.
const USUAL_SOURCE: &str = "pi-catalog";

fn read(text: &'static str) -> serde_json::Result<KnownModels> {
    let File { seen, sources, same, presets } = serde_json::from_str(text)?;
    let known = |id: &str, row: Row| {
        let source = row.from.unwrap_or(USUAL_SOURCE);
        KnownModel {
            source: sources.get(source).copied().unwrap_or(source),
            retires: row.retires,
            model: Model {
                context_window: row.window,
                max_output: row.output,
                max_output_origin: Origin::Table,
                reasoning: row.thinks,
                efforts: row.efforts.into_iter().filter_map(Effort::of).collect(),
                images: row.images,
                tools: row.tools,
                price: row.price.map_or_else(Price::default, price),
                price_origin: Origin::Table,
                id: id.to_owned(),
            },
        }
    };
    let presets = presets.into_iter().map(|(preset, rows)| {
        let mut models: Vec<KnownModel> = rows.into_iter().map(|(id, row)| known(id, row)).collect();
        models.sort_by(|one, other| one.model.id.cmp(&other.model.id));
        (preset, models)
    });
    Ok(KnownModels { seen, presets: presets.collect(), same })
}

fn price((input, cached, output): (f64, Option<f64>, f64)) -> Price {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no price is negative or a billion"
    )]
    let millionths = |dollars: f64| (dollars.clamp(0.0, 1e9) * 1e6).round() as u64;
    Price { input: Some(millionths(input)), cached: cached.map(millionths), output: Some(millionths(output)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::presets::PRESETS;

    /// Presets whose models no catalogue has: gateways of their own names.
    const UNKNOWN: [&str; 3] = ["openadapter", "ocenza", "kilo"];

    fn table() -> KnownModels {
        read(include_str!("models.json")).expect("the table")
    }

    #[test]
    fn every_row_can_be_meant() {
        let table = table();
        assert_eq!(table.seen.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{}", table.seen);
        for (preset, models) in &table.presets {
            assert!(PRESETS.iter().any(|known| known.name == *preset), "there is no preset {preset}");
            for KnownModel { model, source, .. } in models {
                assert!(
                    source.starts_with("npm ") || source.starts_with("PyPI "),
                    "{preset} {}: {source}",
                    model.id
                );
                assert!(model.context_window.is_none_or(|window| window >= 512), "{preset} {model:?}");
                assert!(model.max_output.is_none_or(|most| most > 0), "{preset} {model:?}");
                assert!(model.price.output.is_none_or(|price| price <= 2_000_000_000), "{preset} {model:?}");
                assert!(model.efforts.is_sorted(), "{preset} {model:?}");
            }
        }
        for (preset, same) in &table.same {
            assert!(
                PRESETS.iter().any(|known| known.name == *preset) && table.presets.contains_key(same),
                "{preset}"
            );
        }
    }

    #[test]
    fn every_model_of_a_preset_is_known() {
        let table = table();
        for preset in PRESETS.iter().filter(|preset| !UNKNOWN.contains(&preset.name)) {
            for id in preset.models {
                let known = table.find(preset.name, id);
                assert!(
                    known.is_some(),
                    "{} {id} has no row: an alias in xtask/src/models/providers.rs?",
                    preset.name
                );
                let retires = known.and_then(|known| known.retires);
                assert_eq!(retires, None, "{} begins with {id}, which retires", preset.name);
            }
        }
        assert_eq!(table.find("deepseek", "DeepSeek-Chat").map(|known| known.source), None, "case matters");
        assert!(table.of_preset("nobody").is_empty());
    }

    #[test]
    fn free_is_said_and_what_a_plan_pays_for_has_no_price() {
        let table = table();
        let price = |preset: &str, id: &str| table.find(preset, id).expect(id).model.price;
        assert!(price("opencode-zen", "big-pickle").is_free());
        assert!(
            price("anthropic", "claude-sonnet-4-6").is_known()
                && !price("anthropic", "claude-sonnet-4-6").is_free()
        );
        for plan in ["chatgpt", "gemini-cli", "antigravity", "zai", "kimi-coding", "opencode-go", "mimo"] {
            for known in table.of_preset(plan) {
                assert_eq!(known.model.price, Price::default(), "{plan} {}", known.model.id);
            }
        }
    }
}
