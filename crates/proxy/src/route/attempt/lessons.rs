//! What the refusals of one turn taught about its target so far. Nothing of it is remembered before a request that was written by it
//! was taken: what did not help was no lesson.

use latimer_adapters::field_rules::{FieldRules, MAX_OUTPUT};
use latimer_adapters::limitation::Limitations;
use latimer_adapters::teaching::{Pictures, Teaching};

use crate::route::limitations::Lesson;

/// How often the length of answers is learned in one turn: numbers in words may be inexact.
const MAX_OUTPUT_LESSONS: usize = 3;

/// The lessons of one turn for one target.
#[derive(Debug, Default)]
pub(super) struct TurnLessons {
    /// By which the next request is written.
    held: Vec<HeldLesson>,
    /// Those that changed nothing.
    in_vain: Vec<Teaching>,
}

/// By what a request was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenBy<'p> {
    /// Without what.
    pub(super) limitations: &'p Limitations,
    /// With what in its fields.
    pub(super) rules: &'p FieldRules,
    /// As the client wrote it.
    pub(super) is_passthrough: bool,
}

/// A lesson, and the words it was taken from.
#[derive(Debug)]
struct HeldLesson {
    teaching: Teaching,
    words: String,
}

impl TurnLessons {
    /// What a refusal teaches, where that is news. The same words again mean that the last lesson was none: it is dropped.
    pub(super) fn news(
        &mut self,
        teaching: Option<Teaching>,
        words: &str,
        written: WrittenBy<'_>,
    ) -> Option<Teaching> {
        if self.held.last().is_some_and(|last| last.words == words)
            && let Some(last) = self.held.pop()
        {
            self.in_vain.push(last.teaching);
        }
        let teaching = match teaching? {
            // It was another one, or all of them.
            Teaching::Pictures(Pictures::Nth(nth))
                if self.in_vain.contains(&Teaching::Pictures(Pictures::Nth(nth))) =>
            {
                Teaching::Pictures(Pictures::All)
            }
            teaching => teaching,
        };
        self.is_news(&teaching, written).then_some(teaching)
    }

    fn is_news(&self, teaching: &Teaching, written: WrittenBy<'_>) -> bool {
        // The place of a picture counts those that still stand: the same place is another picture then.
        let is_next_picture = matches!(teaching, Teaching::Pictures(Pictures::Nth(_)));
        let is_held = !is_next_picture && self.held.iter().any(|held| held.teaching == *teaching);
        if is_held || self.in_vain.contains(teaching) {
            return false;
        }
        match teaching {
            Teaching::Whole(limitation) | Teaching::ThisTurn(limitation) => {
                !written.limitations.has(*limitation)
            }
            Teaching::Field { path, rule } => written.rules.get(path) != Some(rule),
            Teaching::Output(_) => {
                let is_output = |teaching: &&Teaching| matches!(teaching, Teaching::Output(_));
                let held = self.held.iter().map(|held| &held.teaching);
                held.chain(&self.in_vain).filter(is_output).count() < MAX_OUTPUT_LESSONS
            }
            Teaching::Pictures(_) => !self.has_all_pictures_out(),
            Teaching::Translate => written.is_passthrough,
        }
    }

    /// Keeps a lesson for the rest of the turn.
    pub(super) fn hold(&mut self, teaching: Teaching, words: &str) {
        self.held.push(HeldLesson { teaching, words: words.to_owned() });
    }

    /// What is known of the target, and this.
    pub(super) fn added_to(&self, limitations: &mut Limitations, rules: &mut FieldRules) {
        for held in &self.held {
            match &held.teaching {
                Teaching::Whole(limitation) | Teaching::ThisTurn(limitation) => {
                    limitations.add(*limitation);
                }
                Teaching::Field { path, rule } => rules.set(path, rule.clone()),
                Teaching::Output(lesson) => rules.set(MAX_OUTPUT, lesson.rule_now()),
                Teaching::Pictures(_) | Teaching::Translate => {}
            }
        }
    }

    /// How many tokens the target counted in the prompt of this turn.
    pub(super) fn counted_prompt(&self) -> Option<u64> {
        self.held.iter().rev().find_map(|held| match &held.teaching {
            Teaching::Output(lesson) => lesson.bounds.prompt,
            _ => None,
        })
    }

    /// Whether the length of the answer is settled.
    pub(super) fn settles_output(&self) -> bool {
        self.held.iter().any(|held| matches!(held.teaching, Teaching::Output(_)))
    }

    /// Whether the client's own request may go out as it is.
    pub(super) fn may_pass(&self) -> bool {
        !self.held.iter().any(|held| matches!(held.teaching, Teaching::Translate | Teaching::Pictures(_)))
    }

    /// The pictures that are refused, in the order in which that was learned: the place of each counts those that still stood.
    pub(super) fn pictures(&self) -> impl Iterator<Item = Pictures> + '_ {
        self.held.iter().filter_map(|held| match held.teaching {
            Teaching::Pictures(pictures) => Some(pictures),
            _ => None,
        })
    }

    fn has_all_pictures_out(&self) -> bool {
        self.pictures().any(|pictures| pictures == Pictures::All)
    }

    /// What is to be remembered now that the request was taken: each lesson with its words.
    pub(super) fn to_remember(&self) -> impl Iterator<Item = (Lesson, &str)> {
        self.held.iter().flat_map(|held| {
            let lessons = match &held.teaching {
                Teaching::Whole(limitation) => vec![Lesson::Whole(*limitation)],
                Teaching::Field { path, rule } => {
                    vec![Lesson::Field { path: path.clone(), rule: rule.clone() }]
                }
                Teaching::Output(lesson) => {
                    let rules = lesson.rules().into_iter();
                    rules.map(|(path, rule)| Lesson::Field { path: path.to_owned(), rule }).collect()
                }
                Teaching::ThisTurn(_) | Teaching::Pictures(_) | Teaching::Translate => Vec::new(),
            };
            lessons.into_iter().map(|lesson| (lesson, held.words.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use latimer_adapters::errors::tokens::OutputBounds;
    use latimer_adapters::limitation::Limitation;
    use latimer_adapters::teaching::OutputLesson;

    use super::*;

    /// What is news to a turn whose request was written by nothing.
    fn news(lessons: &mut TurnLessons, teaching: Teaching, words: &str) -> Option<Teaching> {
        let (limitations, rules) = (Limitations::default(), FieldRules::default());
        let written = WrittenBy { limitations: &limitations, rules: &rules, is_passthrough: false };
        lessons.news(Some(teaching), words, written)
    }

    fn output(tokens: u64) -> Teaching {
        let bounds = OutputBounds { max: Some(tokens), prompt: Some(7), ..OutputBounds::default() };
        Teaching::Output(OutputLesson { now: Some(tokens), bounds })
    }

    #[test]
    fn the_same_words_again_mean_that_the_lesson_was_none() {
        let mut lessons = TurnLessons::default();
        let no_tools = Teaching::Whole(Limitation::NoTools);
        assert_eq!(news(&mut lessons, no_tools.clone(), "no"), Some(no_tools.clone()));
        lessons.hold(no_tools.clone(), "no");
        assert_eq!(lessons.to_remember().count(), 1);
        assert_eq!(news(&mut lessons, no_tools.clone(), "no"), None);
        assert_eq!(lessons.to_remember().count(), 0, "it is dropped");
        assert_eq!(news(&mut lessons, no_tools, "other words"), None, "and never tried again in this turn");
    }

    #[test]
    fn what_the_request_was_written_by_is_no_news() {
        let limitations = Limitations::new([Limitation::NoStrict]);
        let rules = FieldRules::default();
        let written = WrittenBy { limitations: &limitations, rules: &rules, is_passthrough: true };
        let mut lessons = TurnLessons::default();
        assert_eq!(lessons.news(Some(Teaching::Whole(Limitation::NoStrict)), "a", written), None);
        assert_eq!(lessons.news(Some(Teaching::Translate), "b", written), Some(Teaching::Translate));
        assert_eq!(lessons.news(None, "c", written), None);
        lessons.hold(Teaching::Translate, "b");
        assert!(!lessons.may_pass());
    }

    #[test]
    fn numbers_may_be_learned_a_few_times_and_pictures_one_by_one() {
        let mut lessons = TurnLessons::default();
        for tokens in [900, 800, 700] {
            assert!(news(&mut lessons, output(tokens), &tokens.to_string()).is_some());
            lessons.hold(output(tokens), &tokens.to_string());
        }
        assert_eq!(news(&mut lessons, output(600), "600"), None);
        assert!(lessons.settles_output() && lessons.counted_prompt() == Some(7));
        let (mut limitations, mut rules) = (Limitations::default(), FieldRules::default());
        lessons.added_to(&mut limitations, &mut rules);
        assert_eq!(rules.max_output(), Some(700));

        let first = Teaching::Pictures(Pictures::Nth(0));
        lessons.hold(first.clone(), "it");
        assert_eq!(news(&mut lessons, first.clone(), "another"), Some(first.clone()));
        assert_eq!(
            news(&mut lessons, first, "it"),
            Some(Teaching::Pictures(Pictures::All)),
            "it was not that one"
        );
    }
}
