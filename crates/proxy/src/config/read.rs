//! Reading one table of the file: values out, problems noted, nothing lost.

use std::ops::Range;
use std::time::Duration;

use latimer_protocol::quantity::{duration, size};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::ConfigProblem;
use super::schema::{Key, nearest};

/// The text of the file and what was found wrong with it.
pub(super) struct ProblemCollector<'t> {
    text: &'t str,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
}

impl<'t> ProblemCollector<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn problem(&mut self, span: Range<usize>, key: &str, message: impl Into<String>) {
        let problem = self.at(span, key, message.into());
        self.problems.push(problem);
    }

    pub(super) fn warning(&mut self, span: Range<usize>, key: &str, message: impl Into<String>) {
        let warning = self.at(span, key, message.into());
        self.warnings.push(warning);
    }

    fn at(&self, span: Range<usize>, key: &str, message: String) -> ConfigProblem {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        ConfigProblem { line, column, key: key.to_owned(), message }
    }
}

/// One table, and the path that leads to it.
pub(super) struct Table<'f, 't> {
    pub(super) path: String,
    pub(super) span: Range<usize>,
    table: &'f DeTable<'t>,
}

/// One value, and the path that leads to it.
pub(super) struct Value<'f, 't> {
    pub(super) path: String,
    pub(super) span: Range<usize>,
    value: &'f DeValue<'t>,
}

impl<'f, 't> Table<'f, 't> {
    pub(super) fn root(table: &'f Spanned<DeTable<'t>>) -> Self {
        Self { path: String::new(), span: table.span(), table: table.get_ref() }
    }

    /// Notes every key that is not in the list.
    pub(super) fn only(&self, keys: &[Key], notes: &mut ProblemCollector<'_>) {
        for name in self.table.keys() {
            let shown = name.get_ref();
            if keys.iter().any(|key| key.name == shown) {
                continue;
            }
            let message = if let Some(suggestion) = nearest(shown, keys.iter().map(|key| key.name)) {
                format!("unknown key; did you mean `{suggestion}`?")
            } else {
                let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                format!("unknown key; known here are: {}", names.join(", "))
            };
            notes.problem(name.span(), &self.join(shown), message);
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<Value<'f, 't>> {
        let value = self.table.get(name)?;
        Some(Value { path: self.join(name), span: value.span(), value: value.get_ref() })
    }

    /// Every key and its value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'f str, Value<'f, 't>)> {
        self.table.iter().map(|(name, value)| {
            let name: &'f str = name.get_ref();
            (name, Value { path: self.join(name), span: value.span(), value: value.get_ref() })
        })
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn string(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<String> {
        self.get(name)?.string(notes)
    }

    pub(super) fn boolean(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<bool> {
        let value = self.get(name)?;
        value.value.as_bool().or_else(|| value.wrong("true or false", notes))
    }

    pub(super) fn number(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<u64> {
        let value = self.get(name)?;
        let number = value
            .value
            .as_integer()
            .and_then(|number| u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok());
        number.or_else(|| value.wrong("a whole number, not negative", notes))
    }

    /// A number that is not negative, with or without a point, in millionths.
    pub(super) fn millionths(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<u64> {
        let value = self.get(name)?;
        let text = value
            .value
            .as_integer()
            .map(|number| number.as_str().to_owned())
            .or_else(|| value.value.as_float().map(|number| number.as_str().to_owned()));
        let number = text.and_then(|text| text.replace('_', "").parse::<f64>().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked before"
        )]
        let millionths =
            number.filter(|number| (0.0..1e9).contains(number)).map(|number| (number * 1e6).round() as u64);
        millionths.or_else(|| value.wrong("a number, not negative", notes))
    }

    pub(super) fn duration(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<Duration> {
        let value = self.get(name)?;
        let text = value.value.as_str().map(str::to_owned);
        text.as_deref()
            .and_then(duration)
            .or_else(|| value.wrong("a duration above zero, such as \"10s\", \"500ms\" or \"5m\"", notes))
    }

    pub(super) fn size(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<usize> {
        let value = self.get(name)?;
        let text = value.value.as_str().map(str::to_owned);
        text.as_deref()
            .and_then(size)
            .and_then(|size| usize::try_from(size).ok())
            .or_else(|| value.wrong("a size, such as \"64MiB\" or \"500kB\"", notes))
    }

    pub(super) fn table(&self, name: &str, notes: &mut ProblemCollector<'_>) -> Option<Table<'f, 't>> {
        self.get(name)?.table(notes)
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
        notes: &mut ProblemCollector<'_>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let text = value.string(notes)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = nearest(&text, all.iter().copied())
            .map_or_else(String::new, |suggestion| format!("; did you mean \"{suggestion}\"?"));
        notes.problem(value.span.clone(), &value.path, format!("should be one of: {}{hint}", all.join(", ")));
        None
    }
}

impl<'f, 't> Value<'f, 't> {
    pub(super) fn wrong<T>(&self, wanted: &str, notes: &mut ProblemCollector<'_>) -> Option<T> {
        notes.problem(
            self.span.clone(),
            &self.path,
            format!("should be {wanted}, and is {}", article(self.value.type_str())),
        );
        None
    }

    pub(super) fn string(&self, notes: &mut ProblemCollector<'_>) -> Option<String> {
        self.value.as_str().map(str::to_owned).or_else(|| self.wrong("a string", notes))
    }

    pub(super) fn table(&self, notes: &mut ProblemCollector<'_>) -> Option<Table<'f, 't>> {
        match self.value.as_table() {
            Some(table) => Some(Table { path: self.path.clone(), span: self.span.clone(), table }),
            None => self.wrong("a table", notes),
        }
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    /// The elements of a list.
    pub(super) fn list(&self, notes: &mut ProblemCollector<'_>) -> Vec<Value<'f, 't>> {
        let Some(list) = self.value.as_array() else {
            self.wrong::<()>("a list", notes);
            return Vec::new();
        };
        let element = |(place, value): (usize, &'f Spanned<DeValue<'t>>)| Value {
            path: format!("{}[{place}]", self.path),
            span: value.span(),
            value: value.get_ref(),
        };
        list.iter().enumerate().map(element).collect()
    }

    /// A string, or a list of strings.
    pub(super) fn strings(&self, notes: &mut ProblemCollector<'_>) -> Vec<(Range<usize>, String)> {
        if let Some(text) = self.value.as_str() {
            return vec![(self.span.clone(), text.to_owned())];
        }
        if !self.value.is_array() {
            self.wrong::<()>("a string or a list of strings", notes);
            return Vec::new();
        }
        self.list(notes).iter().filter_map(|value| Some((value.span.clone(), value.string(notes)?))).collect()
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
