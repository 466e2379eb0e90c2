//! A rules file: rows that change the table. A file with mistakes is refused whole, and every mistake is named.

use std::time::Duration;

use latimer_protocol::status::Fault;
use serde::Deserialize;
use toml::Spanned;

use super::{Remedy, Rules};
use latimer_protocol::quantity::duration;

/// A file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RulesDocument {
    rule: Vec<Spanned<toml::Table>>,
    #[serde(flatten)]
    rest: toml::Table,
}

/// One mistake in a rules file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RulesProblem {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The rules in use, and why a newer file is not.
#[derive(Debug, Clone, Default)]
pub struct RulesInUse {
    /// The last good ones.
    pub rules: Rules,
    /// The mistakes of the newest file; empty when it is in use.
    pub refused: Vec<RulesProblem>,
}

impl RulesInUse {
    /// Takes up a file whole, or keeps what was and remembers every mistake. True when it was taken up.
    pub fn take_up(&mut self, text: &str) -> bool {
        match read(text) {
            Ok(rules) => {
                *self = Self { rules, refused: Vec::new() };
                true
            }
            Err(problems) => {
                self.refused = problems;
                false
            }
        }
    }
}

/// The table, changed by the `[[rule]]` rows of a file: `fault`, and any of `step` (1 without it), `threshold`, `window`,
/// `action`, `cooldown`, `enabled`.
///
/// # Errors
///
/// All mistakes of the file.
pub fn read(text: &str) -> Result<Rules, Vec<RulesProblem>> {
    let line_of = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let file: RulesDocument = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        vec![RulesProblem { line, message: error.message().to_owned() }]
    })?;
    let mut problems = Vec::new();
    for key in file.rest.keys() {
        problems.push(RulesProblem {
            line: 1,
            message: format!("`{key}` is unknown; the file holds `[[rule]]` rows"),
        });
    }
    let mut rules = Rules::default();
    let mut seen: Vec<(Fault, u8)> = Vec::new();
    for row in &file.rule {
        let line = line_of(row.span().start);
        let mut row = RuleRow { table: row.get_ref(), line, problems: &mut problems };
        let Some((fault, step)) = row.target(&rules) else { continue };
        if seen.contains(&(fault, step)) {
            row.wrong(format!("{fault} step {step} has a row above already"));
        }
        seen.push((fault, step));
        row.apply(&mut rules, fault, step);
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// One row, and where its mistakes go.
struct RuleRow<'f> {
    table: &'f toml::Table,
    line: usize,
    problems: &'f mut Vec<RulesProblem>,
}

impl RuleRow<'_> {
    const KEYS: [&'static str; 7] = ["fault", "step", "threshold", "window", "action", "cooldown", "enabled"];

    fn wrong(&mut self, message: String) {
        self.problems.push(RulesProblem { line: self.line, message });
    }

    /// Which row of the table it means.
    fn target(&mut self, rules: &Rules) -> Option<(Fault, u8)> {
        for key in self.table.keys().filter(|key| !Self::KEYS.contains(&key.as_str())) {
            self.problems.push(RulesProblem {
                line: self.line,
                message: format!("`{key}` is unknown; a rule holds {}", Self::KEYS.join(", ")),
            });
        }
        let Some(text) = self.table.get("fault").and_then(toml::Value::as_str) else {
            self.wrong("`fault` is missing: a code such as \"B2\"".to_owned());
            return None;
        };
        let fault = match text.parse::<Fault>() {
            Ok(fault) => fault,
            Err(error) => {
                self.wrong(error.to_string());
                return None;
            }
        };
        let steps = rules.rows().iter().filter(|rule| rule.fault == fault).count();
        let step = self.number("step", 1, steps as u64).unwrap_or(1);
        Some((fault, u8::try_from(step).unwrap_or(1)))
    }

    fn apply(&mut self, rules: &mut Rules, fault: Fault, step: u8) {
        let threshold = self.number("threshold", 1, 1000).and_then(|number| u32::try_from(number).ok());
        let window = self.duration("window");
        let cooldown = self.duration("cooldown");
        let enabled = match self.table.get("enabled") {
            None => None,
            Some(toml::Value::Boolean(value)) => Some(*value),
            Some(_) => {
                self.wrong("`enabled` is true or false".to_owned());
                None
            }
        };
        let remedy = match self.table.get("action") {
            None => None,
            Some(value) => {
                let remedy = value.as_str().and_then(Remedy::by_name);
                if remedy.is_none() {
                    let names: Vec<_> = Remedy::all().map(Remedy::name).collect();
                    self.wrong(format!("`action` is one of {}", names.join(", ")));
                }
                remedy
            }
        };
        // A row that fails in a part changes nothing: the file is refused as a whole.
        let Some(rule) = rules.row_mut(fault, step) else { return };
        rule.threshold = threshold.unwrap_or(rule.threshold);
        rule.window = window.unwrap_or(rule.window);
        rule.cooldown = cooldown.unwrap_or(rule.cooldown);
        rule.enabled = enabled.unwrap_or(rule.enabled);
        rule.remedy = remedy.unwrap_or(rule.remedy);
    }

    fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.table.get(key)?;
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(format!("`{key}` is a whole number between {least} and {most}"));
        }
        number
    }

    fn duration(&mut self, key: &str) -> Option<Duration> {
        let value = self.table.get(key)?;
        let duration = value.as_str().and_then(duration);
        if duration.is_none() {
            self.wrong(format!("`{key}` is a duration such as \"30s\", at most a week"));
        }
        duration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_changes_what_it_names() {
        let text = "[[rule]]\nfault = \"b2\"\nstep = 2\nthreshold = 5\nwindow = \"5m\"\ncooldown = \"2m\"\n\
            [[rule]]\nfault = \"B10\"\nenabled = false\n[[rule]]\nfault = \"C3\"\nstep = 2\naction = \"alert_user\"\n";
        let (rules, standard) = (read(text).expect("rules"), Rules::default());
        let changed: Vec<_> = rules
            .rows()
            .iter()
            .zip(standard.rows())
            .filter(|(new, old)| new != old)
            .map(|(new, _)| new)
            .collect();
        assert_eq!(changed.len(), 3);
        assert_eq!(
            (changed[0].threshold, changed[0].window.as_secs(), changed[0].cooldown.as_secs()),
            (5, 300, 120)
        );
        assert_eq!(changed[0].remedy, Remedy::SwitchProvider, "what is not named stays");
        assert!(!changed[1].enabled);
        assert_eq!(changed[2].remedy, Remedy::AlertUser);
        assert_eq!(read("").expect("nothing changes"), standard);
    }

    #[test]
    fn every_mistake_is_listed_and_the_last_good_rules_stay() {
        let mut in_use = RulesInUse::default();
        assert!(in_use.take_up("[[rule]]\nfault = \"B7\"\nenabled = false\n"));
        let good = in_use.rules.clone();
        let text = "colour = 1\n[[rule]]\nfault = \"Z1\"\n[[rule]]\nthreshold = 2\n[[rule]]\nfault = \"B2\"\nstep = 9\nthreshold = 0\nwindow = \"soon\"\n\
            cooldown = \"9w\"\naction = \"rm\"\nenabled = 1\nnoise = 2\n[[rule]]\nfault = \"A1\"\n[[rule]]\nfault = \"A1\"\n";
        assert!(!in_use.take_up(text));
        assert_eq!(in_use.rules, good);
        let lines: Vec<_> = in_use.refused.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2, 4, 6, 6, 6, 6, 6, 6, 6, 17], "{:#?}", in_use.refused);
        assert!(!in_use.take_up("[[rule]\n"), "no TOML at all");
        assert_eq!((in_use.rules.clone(), in_use.refused.len()), (good, 1));
        assert!(in_use.take_up(""), "an emptied file is the table again");
        assert!(in_use.refused.is_empty());
    }
}
