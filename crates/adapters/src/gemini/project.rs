//! The project that the requests of an account are counted for: looked up, or made by taking the account on.

use std::time::Duration;

use latimer_protocol::failure::{Failure, Kind};
use serde_json::{Value, json};

use super::{Flavour, errors};
use crate::link::{Headers, Link};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a long operation is asked about, and how many times.
const POLL: Duration = Duration::from_secs(5);
const POLLS: usize = 24;

/// Finds the project.
pub(super) async fn discover(
    link: &Link,
    hosts: &[String],
    flavour: Flavour,
    headers: &Headers,
    version: &str,
) -> Result<String, Failure> {
    let host = hosts.last().map_or(link.base_url.as_str(), String::as_str);
    let metadata = metadata(flavour, version);
    let loaded = call(link, host, "loadCodeAssist", headers, &json!({ "metadata": metadata })).await?;
    if let Some(project) = project(loaded.get("cloudaicompanionProject")) {
        return Ok(project);
    }
    if loaded.get("currentTier").is_some_and(Value::is_object) {
        return Err(no_project(link, &loaded));
    }
    let tier = loaded
        .get("allowedTiers")
        .and_then(Value::as_array)
        .and_then(|tiers| tiers.iter().find(|tier| tier.get("isDefault") == Some(&Value::Bool(true))))
        .and_then(|tier| tier.get("id")?.as_str())
        .unwrap_or("legacy-tier");
    let request = match flavour {
        Flavour::Antigravity => json!({ "tier_id": tier, "metadata": metadata }),
        Flavour::Native | Flavour::CodeAssist => json!({ "tierId": tier, "metadata": metadata }),
    };
    let mut operation = call(link, host, "onboardUser", headers, &request).await?;
    for _ in 0..POLLS {
        if operation.get("done") == Some(&Value::Bool(true)) {
            break;
        }
        tokio::time::sleep(POLL).await;
        operation = match operation.get("name").and_then(Value::as_str) {
            Some(name) => get(link, &format!("{host}/v1internal/{name}"), headers).await?,
            None => call(link, host, "onboardUser", headers, &request).await?,
        };
    }
    project(operation.pointer("/response/cloudaicompanionProject")).ok_or_else(|| no_project(link, &loaded))
}

fn metadata(flavour: Flavour, version: &str) -> Value {
    match flavour {
        Flavour::Antigravity => {
            json!({ "ideType": "ANTIGRAVITY", "ideVersion": version, "ideName": "antigravity" })
        }
        Flavour::Native | Flavour::CodeAssist => {
            json!({ "ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI" })
        }
    }
}

/// A project's id, as text or in an object; a bare number is none.
fn project(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let id = value.as_str().or_else(|| value.get("id")?.as_str())?;
    (!id.is_empty() && !id.bytes().all(|byte| byte.is_ascii_digit())).then(|| id.to_owned())
}

fn no_project(link: &Link, loaded: &Value) -> Failure {
    let reasons: Vec<&str> = loaded
        .get("ineligibleTiers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tier| tier.get("reasonMessage")?.as_str())
        .collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    let message = format!("{}: the account has no project that may be used{why}", link.name);
    Failure::new(Kind::Forbidden, message.chars().take(1000).collect::<String>())
}

async fn call(
    link: &Link,
    host: &str,
    method: &str,
    headers: &Headers,
    body: &Value,
) -> Result<Value, Failure> {
    let url = format!("{host}/v1internal:{method}");
    read(link, link.call(&url, headers, Some(body.to_string().into()), PATIENCE).await?)
}

async fn get(link: &Link, url: &str, headers: &Headers) -> Result<Value, Failure> {
    read(link, link.call(url, headers, None, PATIENCE).await?)
}

fn read(link: &Link, (status, body): (u16, Vec<u8>)) -> Result<Value, Failure> {
    if !(200..300).contains(&status) {
        return Err(errors::classify(status, None, &body, &link.name, "the account's project"));
    }
    serde_json::from_slice(&body).map_err(|_| {
        Failure::new(
            Kind::UpstreamError,
            format!("{}: the account service answered with something that is no JSON", link.name),
        )
    })
}
