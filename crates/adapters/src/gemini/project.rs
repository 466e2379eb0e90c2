//! The project that the requests of an account are counted for: looked up, or made by taking the account on.

use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::{Value, json};

use super::{Flavour, errors, hosts};
use crate::endpoint_client::EndpointClient;
use crate::errors::ErrorContext;
use crate::percent::path_segments;
use crate::prepared_request::Headers;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often Code Assist is asked whether an account was taken on, and how many times.
const POLL: (Duration, usize) = (Duration::from_secs(5), 24);
/// The same for Antigravity.
const ANTIGRAVITY_POLL: (Duration, usize) = (Duration::from_secs(2), 4);
/// The tier that has no project of its own: naming one there fails.
const FREE_TIER: &str = "free-tier";
/// The tier of accounts that are offered none.
const LEGACY_TIER: &str = "legacy-tier";

/// Who asks, and where.
pub(super) struct ProjectLookup<'a> {
    pub(super) client: &'a EndpointClient,
    /// In the configured order; none for the endpoint's base alone.
    pub(super) hosts: &'a [String],
    pub(super) flavour: Flavour,
    pub(super) headers: Headers,
    /// Antigravity's version.
    pub(super) version: String,
    /// The project that a person chose.
    pub(super) wanted: Option<&'a str>,
}

/// What is known of an account.
#[derive(Debug, PartialEq)]
enum Account {
    /// It has this project.
    HasProject(String),
    /// It must be taken on, in this tier.
    NeedsOnboarding(String),
    /// It has none, and cannot be taken on.
    NoProject,
}

impl ProjectLookup<'_> {
    /// Finds the project.
    pub(super) async fn project(&self) -> Result<String, Failure> {
        let base = self.client.base_url.as_str();
        let (known, new_accounts) = hosts::account_hosts(self.hosts).unwrap_or((base, base));
        let loaded = self.call(known, "loadCodeAssist", &self.load_request()).await?;
        match account(&loaded, self.flavour, self.wanted) {
            Account::HasProject(project) => Ok(project),
            Account::NeedsOnboarding(tier) => self.onboard(new_accounts, &tier, &loaded).await,
            Account::NoProject => Err(self.no_project(&loaded)),
        }
    }

    async fn onboard(&self, host: &str, tier: &str, loaded: &Value) -> Result<String, Failure> {
        let request = self.onboard_request(tier);
        let (pause, polls) = if self.flavour == Flavour::Antigravity { ANTIGRAVITY_POLL } else { POLL };
        let mut operation = self.call(host, "onboardUser", &request).await?;
        for _ in 0..polls {
            if is_done(&operation) {
                break;
            }
            tokio::time::sleep(pause).await;
            operation = match operation.get("name").and_then(Value::as_str) {
                Some(name) if self.flavour != Flavour::Antigravity => {
                    self.get(&format!("{host}/v1internal/{}", path_segments(name))).await?
                }
                _ => self.call(host, "onboardUser", &request).await?,
            };
        }
        if !is_done(&operation) {
            let message = format!("{}: the account is still being set up; try again later", self.client.name);
            return Err(Failure::new(FailureKind::Timeout, message));
        }
        if operation.get("error").is_some_and(Value::is_object) {
            return Err(errors::stream_error(&operation["error"].to_string(), &self.client.name, ""));
        }
        project(operation.pointer("/response/cloudaicompanionProject"))
            .or_else(|| self.wanted.map(str::to_owned))
            .ok_or_else(|| self.no_project(loaded))
    }

    /// What is asked of an account.
    fn load_request(&self) -> Value {
        let mut load_request = json!({ "metadata": self.metadata() });
        if let Some(wanted) = self.wanted {
            load_request["cloudaicompanionProject"] = json!(wanted);
        }
        load_request
    }

    /// What takes an account on.
    fn onboard_request(&self, tier: &str) -> Value {
        if self.flavour == Flavour::Antigravity {
            let metadata = json!({
                "ide_type": "ANTIGRAVITY", "ide_version": self.version, "ide_name": "antigravity",
            });
            return json!({ "tier_id": tier, "metadata": metadata });
        }
        let mut onboard_request = json!({ "tierId": tier, "metadata": self.metadata() });
        if let Some(wanted) = self.wanted.filter(|_| tier != FREE_TIER) {
            onboard_request["cloudaicompanionProject"] = json!(wanted);
        }
        onboard_request
    }

    fn metadata(&self) -> Value {
        if self.flavour == Flavour::Antigravity {
            return json!({ "ideType": "ANTIGRAVITY" });
        }
        let mut metadata = json!({
            "ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI",
        });
        if let Some(wanted) = self.wanted {
            metadata["duetProject"] = json!(wanted);
        }
        metadata
    }

    fn no_project(&self, loaded: &Value) -> Failure {
        let tiers = loaded.get("ineligibleTiers").and_then(Value::as_array).into_iter().flatten();
        let reasons: Vec<String> = tiers
            .filter_map(|tier| {
                let reason = tier.get("reasonMessage")?.as_str()?;
                let link = tier.get("validationUrl").and_then(Value::as_str);
                Some(link.map_or_else(|| reason.to_owned(), |link| format!("{reason} {link}")))
            })
            .collect();
        let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
        let message = format!("{}: the account has no project that may be used{why}", self.client.name);
        Failure::new(FailureKind::Forbidden, message.chars().take(1000).collect::<String>())
    }

    async fn call(&self, host: &str, method: &str, body: &Value) -> Result<Value, Failure> {
        let url = format!("{host}/v1internal:{method}");
        let body = Some(body.to_string().into());
        self.read(self.client.call(&url, &self.headers, body, CALL_TIMEOUT).await?)
    }

    async fn get(&self, url: &str) -> Result<Value, Failure> {
        self.read(self.client.call(url, &self.headers, None, CALL_TIMEOUT).await?)
    }

    fn read(&self, (status, body): (u16, Vec<u8>)) -> Result<Value, Failure> {
        let name = &self.client.name;
        match status {
            200..300 => serde_json::from_slice(&body).map_err(|_| {
                let what = "the account service answered with something that is no JSON";
                Failure::new(FailureKind::UpstreamError, format!("{name}: {what}"))
            }),
            404 => {
                let what = "the account service is not at this address; check the endpoint's base_url";
                let failure = Failure::new(FailureKind::BadRequest, format!("{name}: {what}"));
                Err(Failure { status: Some(404), ..failure })
            }
            _ => Err(errors::classify(&ErrorContext::new(status, &body, name, ""))),
        }
    }
}

fn is_done(operation: &Value) -> bool {
    operation.get("done") == Some(&Value::Bool(true))
}

/// What the answer of `loadCodeAssist` says.
fn account(loaded: &Value, flavour: Flavour, wanted: Option<&str>) -> Account {
    let is_known = loaded.get("currentTier").is_some_and(Value::is_object);
    // Code Assist names projects of accounts that were not taken on, and then refuses their requests.
    let project = project(loaded.get("cloudaicompanionProject"))
        .filter(|_| is_known || flavour == Flavour::Antigravity)
        .or_else(|| wanted.filter(|_| is_known).map(str::to_owned));
    if let Some(project) = project {
        return Account::HasProject(project);
    }
    if is_known {
        return Account::NoProject;
    }
    let tiers = loaded.get("allowedTiers").and_then(Value::as_array);
    let default = tiers
        .and_then(|tiers| tiers.iter().find(|tier| tier.get("isDefault") == Some(&Value::Bool(true))))
        .and_then(|tier| tier.get("id")?.as_str());
    Account::NeedsOnboarding(default.unwrap_or(LEGACY_TIER).to_owned())
}

/// A project's id, as text or in an object; a bare number is none.
fn project(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let id = value.as_str().or_else(|| value.get("id")?.as_str())?;
    (!id.is_empty() && !id.bytes().all(|byte| byte.is_ascii_digit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_every_kind() {
        let tiers = json!([{ "id": "a" }, { "id": "b", "isDefault": true }]);
        let has = |project: &str| Account::HasProject(project.into());
        let new = |tier: &str| Account::NeedsOnboarding(tier.into());
        let (code_assist, antigravity) = (Flavour::CodeAssist, Flavour::Antigravity);
        let cases = [
            (json!({ "currentTier": {}, "cloudaicompanionProject": "p" }), code_assist, None, has("p")),
            (
                json!({ "currentTier": {}, "cloudaicompanionProject": { "id": "p" } }),
                code_assist,
                None,
                has("p"),
            ),
            (
                json!({ "currentTier": {}, "cloudaicompanionProject": "123" }),
                code_assist,
                None,
                Account::NoProject,
            ),
            (json!({ "currentTier": {} }), code_assist, Some("mine"), has("mine")),
            (json!({ "currentTier": {} }), code_assist, None, Account::NoProject),
            (json!({ "cloudaicompanionProject": "p", "allowedTiers": tiers }), code_assist, None, new("b")),
            (json!({ "cloudaicompanionProject": "p", "allowedTiers": tiers }), antigravity, None, has("p")),
            (json!({ "allowedTiers": tiers }), code_assist, Some("mine"), new("b")),
            (json!({ "allowedTiers": [{ "id": "a" }] }), code_assist, None, new(LEGACY_TIER)),
            (json!(7), antigravity, None, new(LEGACY_TIER)),
        ];
        for (loaded, flavour, wanted, want) in cases {
            assert_eq!(account(&loaded, flavour, wanted), want, "{loaded} {flavour:?} {wanted:?}");
        }
    }
}
