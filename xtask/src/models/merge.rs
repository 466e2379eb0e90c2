//! One row of the table out of what two catalogues say of a model.

use serde_json::{Map, Value, json};

use super::providers::{Billing, FAMILIES, NO_CHAT, Provider, Selection};

/// The rows of one preset, by name.
pub(super) fn rows(provider: &Provider, catalog: &Value, prices: &Value) -> Map<String, Value> {
    let listed = catalog[provider.catalog].as_object();
    let second: Map<String, Value> = prices
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, model)| !provider.litellm.is_empty() && model["litellm_provider"] == provider.litellm)
        .filter(|(_, model)| matches!(model["mode"].as_str(), Some("chat" | "responses")))
        .map(|(id, model)| {
            let plain = id.strip_prefix(provider.litellm).and_then(|rest| rest.strip_prefix('/'));
            (plain.unwrap_or(id).to_owned(), model.clone())
        })
        .collect();
    let ids = listed.into_iter().flat_map(Map::keys).chain(second.keys()).map(String::as_str);
    let mut ids: Vec<&str> = ids.filter(|id| is_kept(provider, id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids = without_dated(&ids);
    let row = |id: &str| {
        let first = listed.and_then(|listed| listed.get(id));
        row(provider.billing, id, first.unwrap_or(&Value::Null), second.get(id).unwrap_or(&Value::Null))
    };
    let mut rows: Map<String, Value> = ids.into_iter().map(|id| (id.to_owned(), row(id))).collect();
    for (ours, theirs) in provider.aliases {
        if let Some(known) = rows.get(*theirs).cloned() {
            rows.insert((*ours).to_owned(), known);
        }
    }
    rows
}

fn is_kept(provider: &Provider, id: &str) -> bool {
    if !provider.only.is_empty() {
        return provider.only.contains(&id);
    }
    let name = id.to_ascii_lowercase();
    let short = name.rsplit('/').next().unwrap_or_default();
    let is_family = provider.selection == Selection::All
        || name.ends_with(":free")
        || FAMILIES.iter().any(|family| short.starts_with(family));
    is_family && !NO_CHAT.iter().any(|word| name.contains(word))
}

/// The names without those that are another one's with a day behind it.
fn without_dated<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let is_day = |part: &str| {
        let is_number = part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number && (part.len() >= 6 || part.starts_with("202"))
    };
    let is_dated = |name: &str| {
        names
            .iter()
            .any(|plain| name.strip_prefix(plain).is_some_and(|rest| rest.split(['-', '@', ':']).any(is_day)))
    };
    names.iter().copied().filter(|name| !is_dated(name)).collect()
}

/// What is known of one model. A window is the smaller of two that are said: a conversation that is too long is refused. The most of an
/// answer is the larger: a limit that is too low would cut answers without a word, one that is too high is refused and learned.
fn row(billing: Billing, id: &str, listed: &Value, priced: &Value) -> Value {
    let count = |value: &Value| value.as_u64().filter(|number| *number > 0);
    let both = |first: &Value, second: &Value| [count(first), count(second)].into_iter().flatten();
    let window = both(&listed["contextWindow"], &priced["max_input_tokens"]).min();
    let output = both(&listed["maxTokens"], &priced["max_output_tokens"]).max();
    let thinking = &listed["thinking"];
    // Budgets are numbers; their levels are those of the catalogue's own program.
    let has_levels = thinking["mode"].as_str().is_some_and(|mode| mode != "budget");
    let images = listed["input"].as_array().map(|kinds| kinds.iter().any(|kind| kind == "image"));
    let tools = if listed.is_null() {
        priced["supports_function_calling"].as_bool()
    } else {
        Some(listed["supportsTools"].as_bool().unwrap_or(true))
    };
    let (price, is_second) = price(billing, id, listed, priced);
    let fields = [
        ("window", window.map(Value::from)),
        ("output", output.filter(|most| window.is_none_or(|window| *most < window)).map(Value::from)),
        ("thinks", listed["reasoning"].as_bool().or(priced["supports_reasoning"].as_bool()).map(Value::from)),
        ("efforts", Some(thinking["efforts"].clone()).filter(|efforts| has_levels && efforts.is_array())),
        ("images", images.or(priced["supports_vision"].as_bool()).map(Value::from)),
        ("tools", tools.map(Value::from)),
        ("price", price),
        ("retires", priced["deprecation_date"].as_str().map(Value::from)),
        ("from", (listed.is_null() || is_second).then(|| json!("litellm"))),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

/// Input, cached input and output in US dollars for a million tokens, and whether it is the second catalogue that says so.
fn price(billing: Billing, id: &str, listed: &Value, priced: &Value) -> (Option<Value>, bool) {
    if billing == Billing::Plan {
        return (None, false);
    }
    let is_price = |input: f64, output: f64| input > 0.0 || output > 0.0;
    let cost = |name: &str| listed["cost"][name].as_f64().map(rounded);
    let known = |cached: Option<f64>| cached.filter(|cached| *cached > 0.0);
    if let (Some(input), Some(output)) = (cost("input"), cost("output")) {
        if is_price(input, output) {
            return (Some(json!([input, known(cost("cacheRead")), output])), false);
        }
        if billing == Billing::ZeroIsFree || id.ends_with(":free") || id.ends_with("-free") {
            return (Some(json!([0, 0, 0])), false);
        }
    }
    let each = |name: &str| priced[name].as_f64().map(|dollars| rounded(dollars * 1e6));
    match (each("input_cost_per_token"), each("output_cost_per_token")) {
        (Some(input), Some(output)) if is_price(input, output) => {
            (Some(json!([input, known(each("cache_read_input_token_cost")), output])), true)
        }
        _ => (None, false),
    }
}

/// Millionths of a dollar: what is behind them is noise of floating point.
fn rounded(dollars: f64) -> f64 {
    (dollars * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::providers::PROVIDERS;

    fn provider(preset: &str) -> &'static Provider {
        static ROWS: [Provider; PROVIDERS.len()] = PROVIDERS;
        ROWS.iter().find(|row| row.preset == preset).expect(preset)
    }

    fn listed(window: u64, output: u64, input: f64) -> Value {
        json!({ "contextWindow": window, "maxTokens": output, "input": ["text", "image"], "reasoning": true,
            "cost": { "input": input, "output": input * 5.0, "cacheRead": input / 10.0 },
            "thinking": { "mode": "effort", "efforts": ["low", "high"] } })
    }

    #[test]
    fn of_two_windows_the_smaller_counts_and_of_two_answers_the_larger() {
        let second = json!({ "max_input_tokens": 200_000, "max_output_tokens": 32_000, "deprecation_date": "2026-11-30" });
        let row = row(Billing::Metered, "m", &listed(1_000_000, 64_000, 3.0), &second);
        let want = json!({ "window": 200_000, "output": 64_000, "thinks": true, "efforts": ["low", "high"],
            "images": true, "tools": true, "price": [3.0, 0.3, 15.0], "retires": "2026-11-30" });
        assert_eq!(row, want);
        let whole = super::row(Billing::Metered, "m", &listed(9000, 9000, 3.0), &Value::Null);
        assert_eq!(whole.get("output"), None, "as much as the window is no limit");
    }

    #[test]
    fn nothing_is_free_only_where_that_is_said() {
        let price = |billing, id| row(billing, id, &listed(9, 8, 0.0), &Value::Null)["price"].clone();
        assert_eq!(price(Billing::Metered, "m"), Value::Null);
        assert_eq!(price(Billing::Plan, "m:free"), Value::Null);
        for (billing, id) in
            [(Billing::ZeroIsFree, "m"), (Billing::Metered, "m:free"), (Billing::Metered, "m-free")]
        {
            assert_eq!(price(billing, id), json!([0, 0, 0]), "{id}");
        }
        let second = json!({ "input_cost_per_token": 2.8e-7, "output_cost_per_token": 4.2e-7 });
        let filled = row(Billing::Metered, "m", &listed(9, 8, 0.0), &second);
        assert_eq!((&filled["price"], &filled["from"]), (&json!([0.28, null, 0.42]), &json!("litellm")));
        assert_eq!(row(Billing::Plan, "m", &listed(9, 8, 3.0), &second).get("price"), None);
    }

    #[test]
    fn what_nobody_chats_with_and_versions_of_days_are_left_out() {
        let kept = |preset: &str, id: &str| is_kept(provider(preset), id);
        for id in ["gpt-image-1", "text-embedding-3", "gpt-4o-transcribe"] {
            assert!(!kept("openai", id), "{id}");
        }
        let names = ["command-a-03-2025", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini", "x", "x-20250101"];
        assert_eq!(without_dated(&names), ["command-a-03-2025", "gpt-4o", "gpt-4o-mini", "x"]);
        assert!(kept("openai", "gpt-5.5") && kept("kimi", "kimi-k2-0905-preview"));
        assert!(kept("openrouter", "z-ai/glm-5.1") && kept("openrouter", "lab/unheard-of:free"));
        assert!(!kept("openrouter", "lab/unheard-of") && kept("groq", "unheard-of"));
        assert!(kept("codebuff", "minimax/minimax-m2.7") && !kept("codebuff", "minimax/minimax-m3"));
    }

    #[test]
    fn the_prefix_of_a_catalogue_is_no_part_of_a_name_and_aliases_are_copies() {
        let prices = json!({
            "groq/openai/x": { "litellm_provider": "groq", "mode": "chat", "max_input_tokens": 7 },
            "other/x": { "litellm_provider": "other", "mode": "chat" },
            "groq/whisper": { "litellm_provider": "groq", "mode": "audio_transcription" },
        });
        let found = rows(provider("groq"), &json!({}), &prices);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["openai/x"]);
        let catalog = json!({ "google": { "gemini-3-flash-preview": listed(10, 5, 1.0) } });
        let found = rows(provider("gemini"), &catalog, &json!({}));
        assert_eq!(found.get("gemini-3-flash"), found.get("gemini-3-flash-preview"));
    }
}
