//! The turns of one run: its input first, with the messages of its profile before it; then whatever was said to it meanwhile.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use latimer_adapters::agents::archive::{self, Exchange};
use serde_json::json;

use super::Runs;
use super::event::RunEvent;
use super::live::LiveRun;
use super::reader::{AnswerReader, TurnEnd, refusal};
use crate::agents::door::RunDoor;
use crate::agents::message::AgentMessage;
use crate::agents::profile::{AgentProfile, MODEL_START};
use crate::agents::run::{AgentRun, RunError, RunOutcome, RunUsage};
use crate::agents::store::AgentStoreError;
use crate::clock;
use crate::text::beginning;

/// Messages that a run is told before its input, and their bytes.
const MAX_INBOX: usize = 100;
const MAX_INBOX_BYTES: usize = 256 << 10;
/// The most bytes of one message that a run is told; its taker at the HTTP door gets all of it.
const MAX_TOLD_BYTES: usize = 128 << 10;
/// The most bytes of a refusal that are read.
const MAX_REFUSAL: usize = 64 << 10;

/// What one turn is given.
struct RunTurnInput {
    text: String,
    previous: Option<String>,
    /// What was pushed, and is in the text.
    pushed: Vec<String>,
    /// Whether messages of the profile are in it.
    has_messages: bool,
}

impl Runs {
    /// All turns of a run. How it ends, unless it has been completed in here.
    pub(super) async fn turns(
        self: &Arc<Self>,
        run: &AgentRun,
        live: &LiveRun,
        door: &dyn RunDoor,
    ) -> Option<RunOutcome> {
        let Some(profile) = self.profile(&run.profile) else {
            let words = format!("its profile `{}` was deleted", run.profile);
            return Some(RunOutcome::Failed(RunError::new("profile_not_found", words)));
        };
        match self.all_turns(run, &profile, live, door).await {
            Ok(outcome) => outcome,
            Err(error) => Some(RunOutcome::Failed(RunError::new("store_unavailable", error.to_string()))),
        }
    }

    async fn all_turns(
        self: &Arc<Self>,
        run: &AgentRun,
        profile: &AgentProfile,
        live: &LiveRun,
        door: &dyn RunDoor,
    ) -> Result<Option<RunOutcome>, AgentStoreError> {
        let mut said = self.first(run, profile).await?;
        let mut usage = RunUsage::default();
        loop {
            let body = body(profile, &said);
            let (end, turn, used) = self.turn(run, body, &said, live, door).await?;
            usage = usage.plus(used);
            live.tell(&RunEvent::Usage { usage });
            let answer = match end {
                TurnEnd::Answer(answer) => answer,
                TurnEnd::Failed(error) => return Ok(Some(RunOutcome::Failed(error))),
            };
            if profile.archive {
                self.keep_exchange(run, turn.as_deref(), &said.text, &answer).await;
            }
            if self.end(&run.id, RunOutcome::Completed(answer)).await?.is_some() {
                return Ok(None);
            }
            // More was said before the end, or somebody else has ended the run.
            let id = run.id.clone();
            let inputs = self.with_store(move |store| store.take_inputs(&id)).await?;
            if inputs.is_empty() {
                return Ok(Some(RunOutcome::Cancelled));
            }
            let pushed: Vec<String> = inputs.into_iter().map(|input| input.text).collect();
            said = RunTurnInput { text: pushed.join("\n\n"), previous: turn, pushed, has_messages: false };
        }
    }

    /// What the first turn is given. What was pushed before it is said at once.
    async fn first(
        self: &Arc<Self>,
        run: &AgentRun,
        profile: &AgentProfile,
    ) -> Result<RunTurnInput, AgentStoreError> {
        let (id, to, reads) = (run.id.clone(), run.profile.clone(), profile.inbox);
        let (messages, inputs) = self
            .with_store(move |store| {
                let messages =
                    if reads { store.reserve(&to, &id, MAX_INBOX, MAX_INBOX_BYTES)? } else { Vec::new() };
                Ok((messages, store.take_inputs(&id)?))
            })
            .await?;
        let mut text = inbox(&messages);
        text.push_str(&run.input);
        let pushed: Vec<String> = inputs.into_iter().map(|input| input.text).collect();
        for input in &pushed {
            text.push_str("\n\n");
            text.push_str(input);
        }
        Ok(RunTurnInput { text, previous: None, pushed, has_messages: !messages.is_empty() })
    }

    /// One turn: how it ended, the name by which it can be gone on with, and what it used.
    async fn turn(
        self: &Arc<Self>,
        run: &AgentRun,
        body: Bytes,
        said: &RunTurnInput,
        live: &LiveRun,
        door: &dyn RunDoor,
    ) -> Result<(TurnEnd, Option<String>, RunUsage), AgentStoreError> {
        let began = |turn| live.enter(Some(turn));
        let answer = door.ask(&run.id, body, &began).await;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        if status != 200 {
            let mut bytes = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                if bytes.len() > MAX_REFUSAL {
                    break;
                }
            }
            self.release(run, said).await;
            return Ok((TurnEnd::Failed(refusal(status, &bytes)), None, RunUsage::default()));
        }
        let mut reader = AnswerReader::default();
        let mut told = false;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(bytes) = frame.data_ref() else { continue };
            reader.push(bytes, &mut |event| live.tell(event));
            if reader.has_begun() && !told {
                told = true;
                self.begun(run, said, live).await?;
            }
        }
        drop(body);
        live.enter(None);
        if !told {
            self.release(run, said).await;
        }
        let (turn, usage) = (reader.id().map(str::to_owned), reader.usage());
        let end = reader.end();
        let (id, name) = (run.id.clone(), turn.clone().filter(|_| matches!(end, TurnEnd::Answer(_))));
        self.with_store(move |store| store.add_turn(&id, usage, name.as_deref())).await?;
        Ok((end, turn, usage))
    }

    /// The model has said or done something: it knows what it was told.
    async fn begun(
        self: &Arc<Self>,
        run: &AgentRun,
        said: &RunTurnInput,
        live: &LiveRun,
    ) -> Result<(), AgentStoreError> {
        for text in &said.pushed {
            live.tell(&RunEvent::PushSeen { text });
        }
        if said.has_messages {
            let id = run.id.clone();
            self.with_store(move |store| store.deliver(&id, clock::unix_now())).await?;
        }
        Ok(())
    }

    /// The model was told nothing: messages of the profile are unread again.
    async fn release(self: &Arc<Self>, run: &AgentRun, said: &RunTurnInput) {
        if said.has_messages {
            let id = run.id.clone();
            let released = self.with_store(move |store| store.release(&id)).await;
            Self::note(released, run, "messages set aside");
        }
    }

    async fn keep_exchange(self: &Arc<Self>, run: &AgentRun, turn: Option<&str>, user: &str, answer: &str) {
        let Some(folder) = self.archive(&run.profile) else { return };
        let (profile, turn) = (run.profile.clone(), turn.map(str::to_owned));
        let (user, answer) = (user.to_owned(), answer.to_owned());
        let kept = self
            .with_store(move |_| {
                let exchange = Exchange {
                    backend: &profile,
                    thread: turn.as_deref(),
                    status: "completed",
                    user: &user,
                    assistant: &answer,
                    at_ms: clock::unix_millis(),
                };
                archive::write(&folder, &exchange)
                    .map(drop)
                    .map_err(|error| AgentStoreError::Unreadable(error.to_string()))
            })
            .await;
        Self::note(kept, run, "the exchange for the archive");
    }
}

/// The request of a turn.
fn body(profile: &AgentProfile, said: &RunTurnInput) -> Bytes {
    let mut body = json!({
        "model": format!("{MODEL_START}{}", profile.id),
        "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": said.text }] }],
        "stream": true,
    });
    if let (Some(previous), Some(fields)) = (&said.previous, body.as_object_mut()) {
        fields.insert("previous_response_id".to_owned(), json!(previous));
    }
    body.to_string().into()
}

/// Messages as the words before an input.
fn inbox(messages: &[AgentMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        let told = beginning(&message.body, MAX_TOLD_BYTES);
        let rest = message.body.len() - told.len();
        let _ = write!(text, "Message {} from {}:\n{told}", message.id, message.from);
        if rest > 0 {
            let _ = write!(text, "\n[{rest} more bytes are left out]");
        }
        text.push_str("\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::message::MessageState;

    #[test]
    fn messages_stand_before_the_input_and_long_ones_are_cut() {
        let message = |id, body: String| AgentMessage {
            id,
            from: "anna".to_owned(),
            to: "lab".to_owned(),
            body,
            state: MessageState::Unread,
            run: None,
            at: 1,
            delivered: None,
        };
        assert_eq!(inbox(&[message(7, "hello".to_owned())]), "Message 7 from anna:\nhello\n\n");
        let long = inbox(&[message(8, "ä".repeat(MAX_TOLD_BYTES))]);
        assert!(long.len() < MAX_TOLD_BYTES + 100 && long.contains("131072 more bytes"), "{}", long.len());
    }
}
