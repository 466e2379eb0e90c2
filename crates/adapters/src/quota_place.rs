//! Where a provider tells what is left, beside its answers.
//!
//! Each place is documented by its provider: OpenRouter's `GET /key`, DeepSeek's `GET /user/balance`, Moonshot's
//! `GET /users/me/balance`, Code Assist's `retrieveUserQuota`. Asking costs no tokens.

use std::time::Duration;

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::quota::{QuotaReading, QuotaScope};
use serde_json::Value;

use crate::credential::Credential;
use crate::endpoint_client::EndpointClient;
use crate::prepared_request::Headers;
use crate::quota::date;

/// How long a provider may take to say what is left.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most allowances of one answer.
const MAX_READINGS: usize = 64;

/// A provider's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaPlace {
    /// The credit of a key.
    OpenRouter,
    /// Money, in one or two currencies.
    DeepSeek,
    /// Money.
    Moonshot,
    /// A share for each model, until a moment.
    CodeAssist,
}

impl QuotaPlace {
    /// The place of a provider that takes keys, by the name of its preset.
    pub(crate) fn of_provider(provider: &str) -> Option<Self> {
        match provider {
            "openrouter" => Some(Self::OpenRouter),
            "deepseek" => Some(Self::DeepSeek),
            "moonshot" | "kimi" => Some(Self::Moonshot),
            _ => None,
        }
    }

    fn url(self, base_url: &str) -> String {
        match self {
            Self::OpenRouter => format!("{base_url}/key"),
            Self::DeepSeek => format!("{}/user/balance", base_url.trim_end_matches("/v1")),
            Self::Moonshot => format!("{base_url}/users/me/balance"),
            Self::CodeAssist => format!("{base_url}/v1internal:retrieveUserQuota"),
        }
    }

    /// Asks the place of an endpoint that takes keys.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub(crate) async fn ask(
        self,
        client: &EndpointClient,
        credential: &Credential,
    ) -> Result<Vec<QuotaReading>, Failure> {
        let headers = client.bearer_headers("application/json", &[], Some(credential))?;
        self.ask_with(client, &headers, None).await
    }

    /// The same with these headers: POST with a body, GET without.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub(crate) async fn ask_with(
        self,
        client: &EndpointClient,
        headers: &Headers,
        body: Option<Bytes>,
    ) -> Result<Vec<QuotaReading>, Failure> {
        let answer = client.call(&self.url(&client.base_url), headers, body, TIMEOUT).await?;
        self.read(answer, &client.name)
    }

    /// What the place answered.
    ///
    /// # Errors
    /// It refused, or answered with something else.
    fn read(self, (status, body): (u16, Vec<u8>), endpoint: &str) -> Result<Vec<QuotaReading>, Failure> {
        let failed = |what: &str| {
            let message = format!("{endpoint}: {what} when it was asked how much is left");
            Failure { status: Some(status), ..Failure::new(FailureKind::UpstreamError, message) }
        };
        if !(200..300).contains(&status) {
            return Err(failed(&format!("HTTP {status}")));
        }
        let body: Value = serde_json::from_slice(&body).map_err(|_| failed("no JSON"))?;
        let readings = match self {
            Self::OpenRouter => open_router(&body),
            Self::DeepSeek => deep_seek(&body),
            Self::Moonshot => balance(body.pointer("/data/available_balance"), "CNY").into_iter().collect(),
            Self::CodeAssist => code_assist(&body),
        };
        Ok(readings.into_iter().take(MAX_READINGS).map(QuotaReading::settled).collect())
    }
}

/// A number, which some write as text.
fn number(value: Option<&Value>) -> Option<f64> {
    value.and_then(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()))
}

fn balance(value: Option<&Value>, unit: &str) -> Option<QuotaReading> {
    Some(QuotaReading {
        name: "balance".to_owned(),
        scope: QuotaScope::Balance,
        unit: Some(unit.to_owned()),
        remaining: Some(number(value)?),
        ..QuotaReading::default()
    })
}

/// `{"data":{"limit":…,"limit_remaining":…}}`; a key without a limit says `null`.
fn open_router(body: &Value) -> Vec<QuotaReading> {
    let reading = balance(body.pointer("/data/limit_remaining"), "USD");
    let limit = number(body.pointer("/data/limit"));
    reading.map(|reading| QuotaReading { limit, ..reading }).into_iter().collect()
}

/// `{"balance_infos":[{"currency":"CNY","total_balance":"110.00"}]}`
fn deep_seek(body: &Value) -> Vec<QuotaReading> {
    let infos = body.get("balance_infos").and_then(Value::as_array).into_iter().flatten();
    infos
        .filter_map(|info| {
            let unit = info.get("currency").and_then(Value::as_str).unwrap_or("?");
            balance(info.get("total_balance"), unit.get(..3).unwrap_or("?"))
        })
        .collect()
}

/// `{"buckets":[{"modelId":…,"remainingFraction":0.4,"resetTime":"2026-…Z","tokenType":"REQUESTS"}]}`
fn code_assist(body: &Value) -> Vec<QuotaReading> {
    let buckets = body.get("buckets").and_then(Value::as_array).into_iter().flatten();
    buckets
        .filter_map(|bucket| {
            let text = |name: &str| bucket.get(name).and_then(Value::as_str);
            let model: String = text("modelId")?.chars().take(100).collect();
            Some(QuotaReading {
                name: format!("day, {model}"),
                scope: QuotaScope::Day,
                model: Some(model),
                remaining_percent: Some(number(bucket.get("remainingFraction"))? * 100.0),
                resets_at: text("resetTime").and_then(date),
                window_s: Some(86_400),
                ..QuotaReading::default()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(place: QuotaPlace, body: &str) -> Vec<(String, Option<f64>, Option<f64>)> {
        let readings = place.read((200, body.as_bytes().to_vec()), "lab").expect("read");
        readings
            .into_iter()
            .map(|reading| (reading.name, reading.remaining, reading.remaining_percent))
            .collect()
    }

    #[test]
    fn each_place_is_read_as_its_provider_documents_it() {
        let key =
            r#"{"data":{"label":"sk","usage":7.5,"limit":10,"limit_remaining":2.5,"is_free_tier":false}}"#;
        assert_eq!(read(QuotaPlace::OpenRouter, key), [("balance".to_owned(), Some(2.5), Some(25.0))]);
        let free = r#"{"data":{"limit":null,"limit_remaining":null}}"#;
        assert_eq!(read(QuotaPlace::OpenRouter, free), []);
        let money = r#"{"is_available":true,"balance_infos":[{"currency":"USD","total_balance":"110.00"},{"currency":"CNY","total_balance":"0"}]}"#;
        assert_eq!(
            read(QuotaPlace::DeepSeek, money),
            [("balance".to_owned(), Some(110.0), None), ("balance".to_owned(), Some(0.0), Some(0.0))]
        );
        let balance = r#"{"code":0,"data":{"available_balance":49.5,"voucher_balance":46.5}}"#;
        assert_eq!(read(QuotaPlace::Moonshot, balance), [("balance".to_owned(), Some(49.5), None)]);
        let buckets = r#"{"buckets":[{"modelId":"gemini-2.5-pro","remainingFraction":0.02,"resetTime":"2026-11-30T08:00:00Z","tokenType":"REQUESTS"},{"modelId":"x"}]}"#;
        assert_eq!(
            read(QuotaPlace::CodeAssist, buckets),
            [("day, gemini-2.5-pro".to_owned(), None, Some(2.0))]
        );
    }

    #[test]
    fn a_place_that_answers_with_something_else_says_so() {
        for (status, body) in [(403, "{}"), (200, "<html>")] {
            let failure = QuotaPlace::DeepSeek.read((status, body.into()), "lab").expect_err("refused");
            assert!(failure.message.starts_with("lab: "), "{failure}");
        }
        assert_eq!(read(QuotaPlace::DeepSeek, "[]"), []);
        assert_eq!(QuotaPlace::DeepSeek.url("https://a.test/v1"), "https://a.test/user/balance");
    }
}
