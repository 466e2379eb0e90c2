//! Trials of endpoints, run for a command and told to people: how soon the first word came, whether tools are called, what a refusal means and
//! what to do about it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::model_list::ProviderModel;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_proxy::accounts::Places;
use latimer_proxy::config::{Config, Endpoint};
use latimer_proxy::trial::wire::{self, FoundWire};
use latimer_proxy::trial::{CallVerdict, Trial, TrialReport, TrialTask};
use serde_json::{Value, json};

use crate::configuration::account_places;
use crate::runtime::runtime;

/// Asks one endpoint of a configuration.
pub(crate) struct Asker<'c> {
    config: &'c Config,
    endpoint: &'c Endpoint,
    places: Arc<Places>,
    patience: Duration,
}

impl<'c> Asker<'c> {
    /// For an endpoint of this configuration, with this much patience for each answer.
    pub(crate) fn new(
        config: &'c Config,
        endpoint: &'c Endpoint,
        state_dir: &Path,
        patience: Duration,
    ) -> Self {
        let places = account_places(state_dir, config.outbound.clone());
        Self { config, endpoint, places, patience }
    }

    /// One short turn.
    ///
    /// # Errors
    /// No runtime can be started.
    pub(crate) fn turn(&self, model: &str, task: TrialTask) -> anyhow::Result<TrialReport> {
        runtime()?.block_on(async { Ok(self.trial()?.turn(model, task).await) })
    }

    /// The models that the provider lists; `None` where it has no list.
    ///
    /// # Errors
    /// No runtime can be started; inside, why there is no list.
    pub(crate) fn models(&self) -> anyhow::Result<Result<Option<Vec<ProviderModel>>, Failure>> {
        runtime()?.block_on(async { Ok(self.trial()?.models().await) })
    }

    /// Which protocol the endpoint's address speaks.
    ///
    /// # Errors
    /// No runtime can be started.
    pub(crate) fn wire(&self, model: Option<&str>) -> anyhow::Result<FoundWire> {
        let asked = wire::find(self.config, self.endpoint, model, self.patience, Some(&self.places));
        Ok(runtime()?.block_on(asked))
    }

    fn trial(&self) -> anyhow::Result<Trial> {
        let trial = Trial::new(self.config, self.endpoint, self.patience, Some(Arc::clone(&self.places)));
        trial.ok_or_else(|| anyhow::anyhow!("the endpoint `{}` cannot be tried", self.endpoint.name))
    }
}

/// What a trial showed, in a few words: `640 ms, tools ok`.
pub(crate) fn summary(report: &TrialReport, task: TrialTask) -> String {
    let first = report.first_word.unwrap_or(report.whole).as_millis();
    let mut words = vec![format!("first word after {first} ms")];
    match (task, report.call) {
        (TrialTask::Tool, CallVerdict::Called) => words.push("tools ok".to_owned()),
        (TrialTask::Tool, CallVerdict::WrongArguments) => {
            words.push("a tool was called with wrong arguments".to_owned());
        }
        (TrialTask::Tool, CallVerdict::NotCalled) => words.push("no tool was called".to_owned()),
        (TrialTask::Image, _) => words.push(format!("pictures: {:?}", report.text.trim())),
        (TrialTask::Stream, _) if report.pieces > 1 => {
            words.push(format!("streams, {} pieces", report.pieces));
        }
        (TrialTask::Stream, _) => words.push("does not stream: it came in one piece".to_owned()),
        (TrialTask::Text, _) => {}
    }
    words.push(match (report.usage.input, report.usage.output) {
        (Some(input), Some(output)) => format!("tokens reported ({input} in, {output} out)"),
        _ => "tokens not reported".to_owned(),
    });
    words.join(", ")
}

/// Whether the model did what it was asked.
pub(crate) fn is_done(report: &TrialReport, task: TrialTask) -> bool {
    report.failure.is_none()
        && match task {
            TrialTask::Tool => report.call == CallVerdict::Called,
            TrialTask::Stream => report.pieces > 1,
            TrialTask::Image => !report.learned.iter().any(|(code, _)| code == "no_images"),
            TrialTask::Text => true,
        }
}

/// The same as a document.
pub(crate) fn document(report: &TrialReport, task: TrialTask) -> Value {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "task": task_name(task),
        "ok": is_done(report, task),
        "first_word_ms": report.first_word.map(millis),
        "whole_ms": millis(report.whole),
        "pieces": report.pieces,
        "call": (task == TrialTask::Tool).then_some(match report.call {
            CallVerdict::Called => "called",
            CallVerdict::WrongArguments => "wrong_arguments",
            CallVerdict::NotCalled => "not_called",
        }),
        "input_tokens": report.usage.input,
        "output_tokens": report.usage.output,
        "learned": report.learned.iter().map(|(code, meaning)| json!({ "lesson": code, "meaning": meaning })).collect::<Vec<_>>(),
        "error": report.failure.as_ref().map(failure_document),
    })
}

/// What a task is called.
pub(crate) fn task_name(task: TrialTask) -> &'static str {
    match task {
        TrialTask::Text => "text",
        TrialTask::Tool => "tools",
        TrialTask::Image => "images",
        TrialTask::Stream => "stream",
    }
}

/// Code, status and words, for `--json`.
pub(crate) fn failure_document(failure: &Failure) -> Value {
    json!({ "code": failure.kind.code(), "status": failure.status, "message": failure.message.to_string() })
}

/// A failure in one line: the provider's status, and its words.
pub(crate) fn failure_words(failure: &Failure) -> String {
    let status = failure.status.map_or_else(String::new, |status| format!("HTTP {status}: "));
    format!("{status}{failure}")
}

/// What a failure means for whoever sets the endpoint up, and the next command.
pub(crate) fn remedy(failure: &Failure, endpoint: &Endpoint) -> String {
    let name = &endpoint.name;
    match (failure.kind, failure.status, failure.cause) {
        (FailureKind::Unauthorized, ..) => match (endpoint.missing_keys.first(), endpoint.login) {
            (Some(missing), None) if endpoint.keys.is_empty() => {
                format!("there is no key: set `{missing}` (export {missing}=…)")
            }
            (_, Some(login)) if endpoint.keys.is_empty() => {
                format!("there is no good account: latimer login {}", login.name())
            }
            _ if endpoint.keys.is_empty() => {
                format!("it wants a key: latimer endpoints edit {name} --key-stdin")
            }
            _ => format!("the key is not taken: latimer endpoints edit {name} --key-stdin"),
        },
        (FailureKind::Forbidden, ..) => {
            "the key is right, but its plan, its region or its rights are not: look at the provider's page"
                .to_owned()
        }
        (FailureKind::ModelNotFound, ..) => {
            format!("the provider has no such model: latimer endpoints models {name}")
        }
        (FailureKind::BadRequest, Some(404 | 405), _) => {
            format!(
                "nothing answers there: latimer endpoints edit {name} --protocol auto, or another --base-url"
            )
        }
        (FailureKind::QuotaExhausted | FailureKind::WindowExhausted, ..) => {
            "the key works, and its allowance is used up: pay, or wait for the next window".to_owned()
        }
        (FailureKind::RateLimited | FailureKind::ConcurrencyLimited | FailureKind::Overloaded, ..) => {
            format!("the key works; try again in a moment: latimer endpoints test {name}")
        }
        (FailureKind::Unreachable, _, Some("dns")) => {
            format!("there is no such host, or no network: latimer endpoints edit {name} --base-url …")
        }
        (FailureKind::Unreachable, _, Some("tls")) => {
            "its certificate is not trusted: give the endpoint a ca_file, if the server is yours".to_owned()
        }
        (FailureKind::Unreachable, ..) => format!("nothing listens at {}: is it running?", endpoint.base_url),
        (FailureKind::Timeout, ..) => "it does not answer in time".to_owned(),
        _ => format!("try again: latimer endpoints test {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    #[test]
    fn each_refusal_has_its_meaning_and_a_next_step() {
        let text = "[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test/v1\"\napi_key = \"k-numbat\"\n[[endpoint]]\nname = \"mine\"\npreset = \"deepseek\"\n[[endpoint]]\nname = \"me\"\npreset = \"chatgpt\"\n";
        let config = load_text(text).expect("a configuration").config;
        let of = |kind, status, cause, place: usize| {
            let failure = Failure { status, cause, ..Failure::new(kind, "x") };
            remedy(&failure, &config.endpoints[place])
        };
        let key = FailureKind::Unauthorized;
        assert!(of(key, Some(401), None, 0).contains("endpoints edit lab --key-stdin"));
        assert!(of(key, Some(401), None, 1).contains("export DEEPSEEK_API_KEY"));
        assert!(of(key, Some(401), None, 2).contains("latimer login chatgpt"));
        assert!(of(FailureKind::BadRequest, Some(404), None, 0).contains("--protocol auto"));
        assert!(of(FailureKind::ModelNotFound, Some(404), None, 0).contains("endpoints models lab"));
        assert!(of(FailureKind::Unreachable, None, Some("dns"), 0).contains("no such host"));
        assert!(of(FailureKind::Unreachable, None, Some("tls"), 0).contains("ca_file"));
        for kind in FailureKind::all() {
            assert!(!of(kind, None, None, 0).is_empty());
        }
    }
}
