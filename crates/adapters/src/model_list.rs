//! The models a provider lists: `GET …/models`, in every shape in which providers answer it. Fields that are missing or wrong are unknown,
//! and never guessed.

use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoint_client::EndpointClient;
use crate::errors::{self, ErrorContext};
use crate::prepared_request::Headers;

/// How long a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// The most models that are taken from a list.
const MAX_MODELS: usize = 5000;
/// The longest name of a model, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// A model as its provider lists it. What the provider does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderModel {
    /// As the provider spells it.
    pub id: String,
    /// The longest conversation in tokens, its answer included.
    pub context_window: Option<u64>,
    /// The most tokens of an answer.
    pub max_output: Option<u64>,
    /// Whether it sees pictures.
    pub images: Option<bool>,
    /// Millionths of a US dollar for a million tokens of input, and of output.
    pub price: Option<(u64, u64)>,
}

/// Asks for the list at this address.
///
/// # Errors
/// Nothing answered within ten seconds, the answer is a refusal, or it is no list of models.
pub(crate) async fn fetch(
    client: &EndpointClient,
    url: &str,
    headers: &Headers,
) -> Result<Vec<ProviderModel>, Failure> {
    let (status, body) = client.call(url, headers, None, LIST_TIMEOUT).await?;
    if !(200..300).contains(&status) {
        let failure = errors::classify(&ErrorContext::new(status, &body, &client.name, ""));
        return Err(Failure { status: Some(status), ..failure });
    }
    parse(&body).ok_or_else(|| {
        let message = format!("{}: what answers at `{url}` is no list of models", client.name);
        Failure::new(FailureKind::UpstreamError, message)
    })
}

/// The models of a list: a bare array, or one below `data` or `models`. `None` where there is no such thing.
pub fn parse(body: &[u8]) -> Option<Vec<ProviderModel>> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let rows = ["data", "models"].iter().find_map(|key| document.get(key)?.as_array());
    let rows = rows.or_else(|| document.as_array())?;
    Some(rows.iter().filter_map(model).take(MAX_MODELS).collect())
}

fn model(row: &Value) -> Option<ProviderModel> {
    let id = row.as_str().or_else(|| ["id", "name", "slug"].iter().find_map(|key| row.get(key)?.as_str()))?;
    let id = id.strip_prefix("models/").unwrap_or(id);
    if id.is_empty() || id.len() > MAX_NAME_BYTES || id.chars().any(char::is_control) {
        return None;
    }
    // Gemini lists models for embeddings too, and says so.
    if let Some(methods) = row.get("supportedGenerationMethods").and_then(Value::as_array)
        && !methods.iter().any(|method| method == "generateContent")
    {
        return None;
    }
    let number = |keys: &[&str]| keys.iter().find_map(|key| row.pointer(key)?.as_u64()).filter(|n| *n > 0);
    Some(ProviderModel {
        id: id.to_owned(),
        context_window: number(&[
            "/context_window",
            "/context_length",
            "/max_context_length",
            "/max_model_len",
            "/max_input_tokens",
            "/inputTokenLimit",
            "/limits/max_context_window_tokens",
            "/capabilities/limits/max_context_window_tokens",
            "/meta/n_ctx_train",
        ]),
        max_output: number(&[
            "/max_output_tokens",
            "/max_completion_tokens",
            "/top_provider/max_completion_tokens",
            "/outputTokenLimit",
            "/limits/max_output_tokens",
            "/capabilities/limits/max_output_tokens",
        ]),
        images: images(row),
        price: price(row),
    })
}

fn images(row: &Value) -> Option<bool> {
    let inputs = ["/architecture/input_modalities", "/input_modalities", "/modalities/input"];
    if let Some(list) = inputs.iter().find_map(|place| row.pointer(place)?.as_array()) {
        return Some(list.iter().any(|input| input == "image"));
    }
    ["/capabilities/vision", "/capabilities/supports/vision", "/supports_vision", "/supports_image_in"]
        .iter()
        .find_map(|place| row.pointer(place)?.as_bool())
}

/// `pricing.prompt` and `pricing.completion` are dollars for one token, as text or number.
fn price(row: &Value) -> Option<(u64, u64)> {
    let dollars = |key: &str| {
        let value = row.pointer(key)?;
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|dollars: &f64| *dollars >= 0.0)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no price is negative or a thousand dollars for a token"
    )]
    let millionths = |dollars: f64| (dollars.min(1000.0) * 1e12).round() as u64;
    Some((millionths(dollars("/pricing/prompt")?), millionths(dollars("/pricing/completion")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_list_is_read() {
        let cases = [
            (r#"{"object":"list","data":[{"id":"glm-5","max_model_len":131072}]}"#, ("glm-5", Some(131_072))),
            (r#"[{"id":"m","context_length":8192}]"#, ("m", Some(8192))),
            (
                r#"{"models":[{"name":"models/text-embedding","supportedGenerationMethods":["embedContent"]},{"name":"models/gemini-3-flash","inputTokenLimit":1048576,"supportedGenerationMethods":["generateContent"]}]}"#,
                ("gemini-3-flash", Some(1_048_576)),
            ),
            (r#"{"data":["plain"]}"#, ("plain", None)),
            (
                r#"{"data":[{"id":""},{"id":7},{"id":"a\u0007"},{"id":"last","context_length":0}]}"#,
                ("last", None),
            ),
        ];
        for (body, want) in cases {
            let models = parse(body.as_bytes()).expect(body);
            let found: Vec<_> =
                models.iter().map(|model| (model.id.as_str(), model.context_window)).collect();
            assert_eq!(found, [want], "{body}");
        }
        for none in ["<html>", "{}", r#"{"data":{}}"#, "7"] {
            assert_eq!(parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn prices_and_pictures_are_taken_where_they_are_said() {
        let row = r#"{"data":[{"id":"a","pricing":{"prompt":"0.0000006","completion":"0.0000022"},"architecture":{"input_modalities":["text","image"]},"top_provider":{"max_completion_tokens":65536}},{"id":"b","pricing":{"prompt":"-1","completion":"-1"},"architecture":{"input_modalities":["text"]}}]}"#;
        let models = parse(row.as_bytes()).expect("a list");
        assert_eq!(models[0].price, Some((600_000, 2_200_000)));
        assert_eq!((models[0].images, models[0].max_output), (Some(true), Some(65_536)));
        assert_eq!((models[1].price, models[1].images), (None, Some(false)), "-1 is \"it depends\"");
    }
}
