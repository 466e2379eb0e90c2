//! A trial: one short real turn at one endpoint, outside of any proxy. It walks the way of every turn (translation, attempt, lessons, reader), so
//! whoever gets its answer knows that turns work there, how soon words come, and whether tools are called.

pub mod wire;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer_adapters::model_list::ProviderModel;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{
    Content, EventSink, FinishReason, Image, Item, Message, Role, Tool, TurnEvent, TurnRequest, Usage,
};
use serde_json::value::RawValue;

use crate::accounts::Places;
use crate::clock::{self, Clocks};
use crate::config::{Config, Endpoint, Timeouts};
use crate::route::attempt::{AttemptRequest, Attempts, Progress};
use crate::route::endpoint_set::{EndpointRuntime, EndpointSet, RouteTarget};
use crate::route::memory::Memory;
use crate::running::RunningTurn;

/// Enough for a model that thinks before it says one word.
const MAX_OUTPUT_TOKENS: u64 = 1024;
/// The longest wait for an endpoint that names a time.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Characters of the answer that are kept.
const MAX_TEXT: usize = 200;
/// The tool that is offered, and what it is to be called with.
const TOOL: &str = "report_word";
const WORD: &str = "heron";
const PARAMETERS: &str = r#"{"type":"object","properties":{"word":{"type":"string"}},"required":["word"],"additionalProperties":false}"#;
/// A red square of 8 × 8 pixels.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII=";

/// What a model is asked for in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialTask {
    /// One word.
    Text,
    /// Words enough to see whether they come one after the other.
    Stream,
    /// One call of the one tool that is offered.
    Tool,
    /// The colour of a small picture.
    Image,
}

/// Whether the model called the tool as it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallVerdict {
    /// Once, with arguments that are as they should be.
    Called,
    /// With arguments that are not.
    WrongArguments,
    /// Not at all.
    NotCalled,
}

/// What a trial showed.
#[derive(Debug)]
pub struct TrialReport {
    /// Why there is no whole answer.
    pub failure: Option<Failure>,
    /// From sending to the first word, thought or call.
    pub first_word: Option<Duration>,
    /// From sending to the end.
    pub whole: Duration,
    /// In how many pieces the answer came; more than one means that it streams.
    pub pieces: u32,
    /// The beginning of the text.
    pub text: String,
    /// For [`TrialTask::Tool`].
    pub call: CallVerdict,
    /// As far as the provider said it.
    pub usage: Usage,
    /// What the endpoint taught on the way, by its code and with what is done about it.
    pub learned: Vec<(String, String)>,
}

/// One endpoint that is tried. Nothing of it is remembered afterwards.
pub struct Trial {
    runtime: Arc<EndpointRuntime>,
    memory: Arc<Memory>,
}

impl Trial {
    /// An endpoint, alone, without retries, and with this much patience for a connection, a first byte and silence. `config` gives what holds for
    /// all endpoints. `None` where nothing could be built of it.
    pub fn new(
        config: &Config,
        endpoint: &Endpoint,
        patience: Duration,
        places: Option<Arc<Places>>,
    ) -> Option<Self> {
        let timeouts = Timeouts {
            connect: endpoint.timeouts.connect.min(patience),
            first_byte: endpoint.timeouts.first_byte.min(patience),
            idle: endpoint.timeouts.idle.min(patience),
            content: endpoint.timeouts.content.min(patience),
        };
        let alone = Endpoint { retries: 0, timeouts, ..endpoint.clone() };
        let config = Config { endpoints: vec![alone], routes: Vec::new(), ..config.clone() };
        let memory = Arc::new(Memory::new(None));
        let set = EndpointSet::new(Arc::new(config), Arc::clone(&memory), places, None);
        Some(Self { runtime: Arc::clone(set.endpoints().first()?), memory })
    }

    /// The models that the provider lists; `None` where its protocol has no list.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none; or the account's token cannot be refreshed.
    pub async fn models(&self) -> Result<Option<Vec<ProviderModel>>, Failure> {
        let credential = match self.runtime.pool.pick(clock::now()) {
            Some((_, entry)) => Some(entry.credential().await?),
            None => None,
        };
        self.runtime.adapter.models(credential.as_ref()).await
    }

    /// Asks a model for this.
    pub async fn turn(&self, model: &str, task: TrialTask) -> TrialReport {
        let id = format!("{}/{model}", self.runtime.endpoint.name);
        let target = RouteTarget { runtime: Arc::clone(&self.runtime), model: model.to_owned(), id };
        let request = AttemptRequest {
            turn: question(model, task),
            raw: None,
            headers: Vec::new(),
            level: None,
            max_wait: MAX_WAIT,
            affinity_key: None,
            running: Arc::new(RunningTurn::default()),
        };
        let begun = clock::now();
        let mut answer = Answer::new(begun);
        if let Some(mut attempts) = Attempts::new(vec![target], request) {
            loop {
                match poll_fn(|cx| attempts.poll(cx, &mut answer)).await {
                    Progress::More => {}
                    Progress::Ended => break,
                    Progress::Failed(failure) => {
                        answer.failure = Some(failure);
                        break;
                    }
                }
            }
        }
        answer.report(clock::now().duration_since(begun), self.learned())
    }

    fn learned(&self) -> Vec<(String, String)> {
        let file = self.memory.limitations.file(Clocks::now().now);
        let lessons = file.of_endpoint(self.runtime.endpoint.name.as_str());
        lessons.into_iter().map(|lesson| (lesson.code.to_owned(), lesson.meaning)).collect()
    }
}

/// The turn of a trial.
fn question(model: &str, task: TrialTask) -> TurnRequest {
    let text = match task {
        TrialTask::Text => "Answer with the single word: ready".to_owned(),
        TrialTask::Stream => "Count from one to twenty in words, one after the other.".to_owned(),
        TrialTask::Tool => format!("Call the tool {TOOL} once, with the word {WORD}. Write nothing else."),
        TrialTask::Image => "Which colour is this picture? Answer with one word.".to_owned(),
    };
    let mut content = vec![Content::Text(text)];
    if task == TrialTask::Image {
        content.push(Content::Image(Image { url: PICTURE.to_owned(), detail: None }));
    }
    let tools = match task {
        TrialTask::Tool => vec![Tool {
            name: TOOL.to_owned(),
            description: Some("Reports one word.".to_owned()),
            parameters: RawValue::from_string(PARAMETERS.to_owned()).ok(),
            strict: None,
        }],
        TrialTask::Text | TrialTask::Stream | TrialTask::Image => Vec::new(),
    };
    TurnRequest {
        model: model.to_owned(),
        items: vec![Item::Message(Message { role: Role::User, content })],
        tools,
        max_output_tokens: Some(MAX_OUTPUT_TOKENS),
        ..TurnRequest::default()
    }
}

/// What arrives.
struct Answer {
    begun: Instant,
    first_word: Option<Instant>,
    pieces: u32,
    text: String,
    called: bool,
    arguments: String,
    usage: Usage,
    failure: Option<Failure>,
}

impl Answer {
    fn new(begun: Instant) -> Self {
        Self {
            begun,
            first_word: None,
            pieces: 0,
            text: String::new(),
            called: false,
            arguments: String::new(),
            usage: Usage::default(),
            failure: None,
        }
    }

    fn piece(&mut self) {
        self.first_word.get_or_insert_with(clock::now);
        self.pieces = self.pieces.saturating_add(1);
    }

    fn report(self, whole: Duration, learned: Vec<(String, String)>) -> TrialReport {
        let call = match serde_json::from_str::<serde_json::Value>(&self.arguments) {
            _ if !self.called => CallVerdict::NotCalled,
            Ok(arguments) if arguments["word"].is_string() => CallVerdict::Called,
            _ => CallVerdict::WrongArguments,
        };
        let is_empty = self.pieces == 0;
        let failure = self.failure.or_else(|| {
            let message = "the answer came to its end without a word";
            is_empty.then(|| Failure::new(FailureKind::UpstreamError, message))
        });
        TrialReport {
            failure,
            first_word: self.first_word.map(|first| first.duration_since(self.begun)),
            whole,
            pieces: self.pieces,
            text: self.text,
            call,
            usage: self.usage,
            learned,
        }
    }
}

impl EventSink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(text) => {
                self.piece();
                let left = MAX_TEXT.saturating_sub(self.text.chars().count());
                self.text.extend(text.chars().take(left));
            }
            TurnEvent::Reasoning(_) | TurnEvent::Refusal(_) => self.piece(),
            TurnEvent::CallStarted { name, .. } => {
                self.piece();
                self.called |= name == TOOL;
            }
            TurnEvent::CallArguments { json, .. }
                if self.arguments.len() + json.len() <= PARAMETERS.len() * 8 =>
            {
                self.piece();
                self.arguments.push_str(json);
            }
            TurnEvent::Usage(usage) => self.usage = usage,
            TurnEvent::Finished(FinishReason::Failed(failure)) => self.failure = Some(failure),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
