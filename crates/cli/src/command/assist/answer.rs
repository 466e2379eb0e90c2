//! What a model answered: words, and the steps among what it wrote. Pure.

use latimer_protocol::secret::redact;
use serde_json::Value;

use super::step::Step;

/// The most of an answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// The most words that are shown, in characters.
const MAX_WORDS_CHARS: usize = 4000;
/// The most steps.
const MAX_STEPS: usize = 8;

/// An answer that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// For the person.
    pub(super) words: String,
    /// In their order.
    pub(super) steps: Vec<Step>,
    /// Why others are not among them.
    pub(super) left_out: Vec<String>,
}

impl Answer {
    /// Reads whatever a model wrote. `endpoints` are the names that there are.
    pub(super) fn read(text: &str, endpoints: &[String]) -> Self {
        if text.len() > MAX_ANSWER_BYTES {
            let left_out =
                vec![format!("the answer is longer than {MAX_ANSWER_BYTES} bytes and was not read")];
            return Self { words: String::new(), steps: Vec::new(), left_out };
        }
        let Some(document) = object_in(text) else {
            return Self { words: shortened(text), steps: Vec::new(), left_out: Vec::new() };
        };
        let words = document["answer"].as_str().map(shortened).unwrap_or_default();
        let proposed = document["steps"].as_array().map_or(&[][..], Vec::as_slice);
        let mut names = endpoints.to_vec();
        let (mut steps, mut left_out) = (Vec::new(), Vec::new());
        for (at, value) in proposed.iter().take(MAX_STEPS).enumerate() {
            match Step::read(value, &names) {
                Ok(step) => {
                    // A step may be about what one before it adds.
                    names.extend(step.added().map(str::to_owned));
                    steps.push(step);
                }
                Err(why) => left_out.push(format!("step {}: {why}", at + 1)),
            }
        }
        if proposed.len() > MAX_STEPS {
            left_out.push(format!("{} steps behind the first {MAX_STEPS}", proposed.len() - MAX_STEPS));
        }
        Self { words, steps, left_out }
    }
}

/// The words of a model as they are shown: no secrets, and not too many.
fn shortened(text: &str) -> String {
    redact(text).trim().chars().take(MAX_WORDS_CHARS).collect()
}

/// The JSON object of an answer, alone, in a fence, or between words.
fn object_in(text: &str) -> Option<Value> {
    let whole = text.trim();
    let inner = whole.find('{').zip(whole.rfind('}')).and_then(|(start, end)| whole.get(start..=end));
    let found =
        [Some(whole), inner].into_iter().flatten().find_map(|text| serde_json::from_str::<Value>(text).ok());
    found.filter(|value| value.get("answer").is_some() || value.get("steps").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Answer {
        Answer::read(text, &["lab".to_owned()])
    }

    #[test]
    fn steps_are_found_in_a_fence_and_between_words() {
        let object = r#"{"answer": "Set the key.", "steps": [{"step": "set_key", "endpoint": "lab"}]}"#;
        for text in [
            object.to_owned(),
            format!("```json\n{object}\n```"),
            format!("Here it is:\n{object}\nGood luck."),
        ] {
            let answer = read(&text);
            assert_eq!(
                (answer.words.as_str(), answer.steps.len(), answer.left_out.len()),
                ("Set the key.", 1, 0),
                "{text}"
            );
        }
        let words = read("Your key has expired.");
        assert_eq!((words.words.as_str(), words.steps.len()), ("Your key has expired.", 0));
    }

    #[test]
    fn a_step_may_be_about_an_endpoint_that_one_before_adds() {
        let text = r#"{"answer": "", "steps": [{"step": "add_endpoint", "name": "deepseek", "preset": "deepseek"}, {"step": "set_key", "endpoint": "deepseek"}, {"step": "test_endpoint", "name": "other"}]}"#;
        let answer = read(text);
        assert_eq!(answer.steps.len(), 2);
        assert_eq!(answer.left_out, ["step 3: there is no endpoint `other`"]);
    }

    #[test]
    fn too_much_is_cut() {
        let step = r#"{"step": "run_doctor"}"#;
        let answer = read(&format!(r#"{{"answer": "x", "steps": [{}]}}"#, vec![step; 20].join(",")));
        assert_eq!(
            (answer.steps.len(), answer.left_out.as_slice()),
            (8, &["12 steps behind the first 8".to_owned()][..])
        );
        assert_eq!(read(&"x".repeat(70_000)).left_out.len(), 1);
        assert_eq!(read(&"x".repeat(60_000)).words.len(), MAX_WORDS_CHARS);
    }
}
