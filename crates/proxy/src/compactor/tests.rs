//! Summaries of histories: how many questions, what becomes of an answer that is not whole.

use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Step};
use latimer_protocol::turn::{Content, Message, Role};
use serde_json::{Value, json};

use super::*;
use crate::clock;
use crate::config::parse::config_of;
use crate::route::endpoint_set::EndpointSet;
use crate::route::memory::Memory;

/// A window that makes pieces of 2000 characters.
const SMALL_WINDOW: &str = ", context_window = 1000";

/// So many messages of 900 characters: two of them are a piece.
fn history(messages: usize) -> Vec<Item> {
    let text = |number: usize| format!("{number:04}{}", "x".repeat(880));
    let message = |number| Message { role: Role::User, content: vec![Content::Text(text(number))] };
    (0..messages).map(|number| Item::Message(message(number))).collect()
}

fn notes(text: &str) -> ScriptedAnswer {
    ScriptedAnswer::text(text)
}

fn ended(text: &str, reason: &str) -> ScriptedAnswer {
    ScriptedAnswer::steps([Step::text(text), Step::finish(reason), Step::usage(10, 5), Step::Done])
}

fn too_long() -> ScriptedAnswer {
    let error = json!({ "message": "too long", "code": "context_length_exceeded" });
    ScriptedAnswer::error(400, json!({ "error": error }))
}

/// What a client would see, and what is written into the log.
#[derive(Default)]
struct Shown {
    text: String,
    usage: Usage,
    finished: usize,
    notes: Vec<String>,
}

impl EventSink for Shown {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(text) => self.text.push_str(text),
            TurnEvent::Usage(usage) => self.usage = usage,
            TurnEvent::Finished(FinishReason::Stop) => self.finished += 1,
            TurnEvent::Note(note) => self.notes.push(note.to_string()),
            TurnEvent::Started => {}
            other => panic!("{other}"),
        }
    }
}

/// What came of a compaction, and what the provider was asked.
struct Outcome {
    result: Result<(), Failure>,
    shown: Shown,
    /// The last message of each question.
    questions: Vec<String>,
    bodies: Vec<Value>,
}

impl Outcome {
    fn failure(&self) -> &Failure {
        self.result.as_ref().expect_err("a failure")
    }
}

async fn compact(
    model: &str,
    items: Vec<Item>,
    answers: impl IntoIterator<Item = ScriptedAnswer>,
) -> Outcome {
    let provider = Provider::start(Scenario::new(answers)).await.expect("a port");
    let config = config_of(&format!(
        "[[endpoint]]\nname = \"lab\"\nbase_url = \"{}\"\nmodels = [{{ id = \"m\"{model} }}]\nretries = 0\n",
        provider.base_url()
    ));
    let set =
        EndpointSet::new(std::sync::Arc::new(config), std::sync::Arc::new(Memory::new(None)), None, None);
    let targets = set.targets("m", None, clock::now()).expect("a target");
    let tool = latimer_protocol::turn::Tool {
        name: "exec".to_owned(),
        description: None,
        parameters: None,
        strict: None,
    };
    let turn = TurnRequest { model: "m".to_owned(), items, tools: vec![tool], ..TurnRequest::default() };
    let mut compactor = Compactor::new(targets, turn, Vec::new(), Arc::default()).expect("a target");
    let mut shown = Shown::default();
    let result = loop {
        match std::future::poll_fn(|cx| compactor.poll(cx, &mut shown)).await {
            Progress::More => {}
            Progress::Ended => break Ok(()),
            Progress::Failed(failure) => break Err(failure),
        }
    };
    let bodies: Vec<Value> = provider.requests().into_iter().map(|request| request.body).collect();
    let last = |body: &Value| -> String {
        let messages = body["messages"].as_array().expect("messages");
        messages.last().expect("one")["content"].as_str().expect("a text").to_owned()
    };
    Outcome { result, shown, questions: bodies.iter().map(last).collect(), bodies }
}

fn small(items: usize, answers: impl IntoIterator<Item = ScriptedAnswer>) -> impl Future<Output = Outcome> {
    compact(SMALL_WINDOW, history(items), answers)
}

#[tokio::test]
async fn a_history_that_fits_is_one_question_without_tools() {
    let outcome = compact("", history(5), [notes("  all of it \n")]).await;
    assert_eq!((outcome.result.is_ok(), outcome.shown.text.as_str()), (true, "all of it"));
    assert_eq!((outcome.shown.finished, outcome.questions.len()), (1, 1));
    for number in 0..5 {
        assert!(outcome.questions[0].contains(&format!("Person: {number:04}")), "{number}");
    }
    assert!(outcome.questions[0].ends_with("Write the notes."));
    assert_eq!(outcome.bodies[0].get("tools"), None, "there is nothing to call");
}

#[tokio::test]
async fn a_longer_one_is_asked_about_in_pieces_each_with_the_notes_before_it() {
    let outcome = small(5, [notes("N1"), notes("N2"), notes("N3")]).await;
    assert_eq!(
        (outcome.result.is_ok(), outcome.shown.text.as_str()),
        (true, "N3"),
        "the last notes hold all"
    );
    assert_eq!(outcome.questions.len(), 3);
    for (question, (numbers, before)) in
        outcome.questions.iter().zip([([0, 1].as_slice(), None), (&[2, 3], Some("N1")), (&[4], Some("N2"))])
    {
        let held: Vec<usize> = (0..5).filter(|number| question.contains(&format!("{number:04}x"))).collect();
        assert_eq!(held, numbers, "every message stands in one question");
        assert_eq!(question.contains("Your notes on the earlier part"), before.is_some());
        assert!(before.is_none_or(|before| question.contains(before)), "{before:?}");
    }
    assert!(outcome.questions[0].contains("The session goes on after this"));
    assert_eq!(
        (outcome.shown.usage.input, outcome.shown.usage.output),
        (Some(30), Some(15)),
        "of all questions"
    );
    assert!(outcome.shown.notes.iter().any(|note| note.contains("3 part")), "{:?}", outcome.shown.notes);
}

#[tokio::test]
async fn a_piece_that_is_too_long_is_halved_from_the_beginning() {
    // The first piece is answered, the second is refused: then the whole history is asked about in halves.
    let outcome =
        small(4, [notes("lost"), too_long(), notes("N1"), notes("N2"), notes("N3"), notes("N4")]).await;
    assert_eq!((outcome.result.is_ok(), outcome.shown.text.as_str()), (true, "N4"), "{:?}", outcome.result);
    assert_eq!(outcome.questions.len(), 6);
    let again = &outcome.questions[2];
    assert!(again.contains("0000x") && !again.contains("0001x") && !again.contains("lost"), "{again}");
    assert!(outcome.questions[3].contains("N1"));
}

#[tokio::test]
async fn halving_ends_with_the_providers_own_words() {
    let outcome = small(4, [too_long()]).await;
    assert_eq!(outcome.failure().kind, FailureKind::ContextLength);
    assert_eq!(outcome.questions.len(), 1 + MAX_HALVINGS as usize);
    assert_eq!(outcome.shown.text, "");
    let outcome = small(2 * MAX_PIECES, [too_long()]).await;
    assert_eq!(outcome.failure().kind, FailureKind::ContextLength);
    assert_eq!(outcome.questions.len(), 1, "more pieces than are ever asked about");
}

#[tokio::test]
async fn another_refusal_is_not_answered_by_halving() {
    let refused = ScriptedAnswer::error(400, json!({ "error": { "message": "not like this" } }));
    let outcome = small(4, [refused]).await;
    assert_eq!((outcome.failure().kind, outcome.questions.len()), (FailureKind::BadRequest, 1));
}

#[tokio::test]
async fn there_is_never_half_a_summary() {
    let cut = || ScriptedAnswer::steps([Step::text("half of it"), Step::Cut]);
    let last: [(ScriptedAnswer, &str); 5] = [
        (ended("half of it", "length"), "did not finish"),
        (ended("half of it", "content_filter"), "did not finish"),
        (ended("", "stop"), "nothing"),
        (notes(" \n "), "with nothing"),
        (cut(), ""),
    ];
    for (answer, words) in last {
        // As the answer to the only question, and to the last of several.
        for (items, before) in [(1, vec![]), (4, vec![notes("N1")])] {
            let answers: Vec<ScriptedAnswer> = before.into_iter().chain([answer.clone()]).collect();
            let outcome = small(items, answers).await;
            assert!(outcome.failure().message.contains(words), "{}", outcome.failure());
            assert_eq!(
                (outcome.shown.text.as_str(), outcome.shown.finished),
                ("", 0),
                "{words}: nothing was shown"
            );
        }
    }
}

#[tokio::test]
async fn calls_in_the_notes_are_quotations() {
    let call = "<tool_call>{\"name\": \"exec\", \"arguments\": {}}</tool_call>";
    let outcome = compact("", history(1), [notes(call)]).await;
    assert_eq!(outcome.shown.text, call, "as the model wrote it");
}

#[tokio::test]
async fn without_a_target_there_is_no_question_and_without_a_history_there_is_one() {
    assert!(Compactor::new(Vec::new(), TurnRequest::default(), Vec::new(), Arc::default()).is_none());
    let outcome = compact("", Vec::new(), [notes("nothing was said")]).await;
    assert_eq!((outcome.result.is_ok(), outcome.questions.len()), (true, 1));
}
