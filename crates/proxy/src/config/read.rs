//! Reading one table of the file: values out, problems noted, nothing lost.

use std::ops::{Range, RangeInclusive};
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

    /// A whole number of this range.
    pub(super) fn number_in(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        notes: &mut ProblemCollector<'_>,
    ) -> Option<u32> {
        let number = self.number(name, notes)?;
        let number = u32::try_from(number).ok().filter(|number| range.contains(number));
        if number.is_none()
            && let Some(value) = self.get(name)
        {
            let message = format!("should be from {} to {}", range.start(), range.end());
            notes.problem(value.span, &value.path, message);
        }
        number
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

    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_str()
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

    /// As JSON; dates are texts.
    pub(super) fn json(&self, notes: &mut ProblemCollector<'_>) -> serde_json::Value {
        if let Some(table) = self.value.as_table() {
            let table = Table { path: self.path.clone(), span: self.span.clone(), table };
            let entries = table.entries().map(|(name, value)| (name.to_owned(), value.json(notes)));
            return serde_json::Value::Object(entries.collect());
        }
        match self.value {
            DeValue::Array(_) => self.list(notes).iter().map(|value| value.json(notes)).collect(),
            DeValue::String(text) => text.as_ref().into(),
            DeValue::Boolean(is_on) => (*is_on).into(),
            DeValue::Integer(number) => {
                i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok().into()
            }
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok().into(),
            DeValue::Datetime(date) => date.to_string().into(),
            DeValue::Table(_) => serde_json::Value::Null,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a value of the key `k` of this text's table `t`; the problems as they are printed.
    fn read<T>(
        text: &str,
        read: impl FnOnce(&Table<'_, '_>, &mut ProblemCollector<'_>) -> T,
    ) -> (T, Vec<String>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        assert!(errors.is_empty(), "{text}");
        let mut notes = ProblemCollector::new(text);
        let root = Table::root(&table);
        let inner = root.table("t", &mut notes).expect("a table");
        let value = read(&inner, &mut notes);
        (value, notes.problems.iter().map(ToString::to_string).collect())
    }

    fn number(text: &str) -> (Option<u64>, Vec<String>) {
        read(&format!("[t]\nk = {text}"), |table, notes| table.number("k", notes))
    }

    fn millionths(text: &str) -> Option<u64> {
        read(&format!("[t]\nk = {text}"), |table, notes| table.millionths("k", notes)).0
    }

    #[test]
    fn numbers_are_whole_in_every_notation() {
        for (text, value) in
            [("7", 7), ("+7", 7), ("1_000", 1000), ("0x1F", 31), ("0o17", 15), ("0b101", 5), ("0", 0)]
        {
            assert_eq!(number(text), (Some(value), vec![]), "{text}");
        }
        for (text, kind) in [
            ("-1", "an integer"),
            ("1.5", "a float"),
            ("\"7\"", "a string"),
            ("99999999999999999999", "an integer"),
        ] {
            let wanted = format!("2:5: t.k: should be a whole number, not negative, and is {kind}");
            assert_eq!(number(text), (None, vec![wanted]), "{text}");
        }
    }

    #[test]
    fn a_number_out_of_range_is_no_number() {
        let within =
            |text: &str| read(&format!("[t]\nk = {text}"), |table, notes| table.number_in("k", 1..=9, notes));
        assert_eq!((within("1"), within("9")), ((Some(1), vec![]), (Some(9), vec![])));
        for text in ["0", "10", "4294967297"] {
            assert_eq!(within(text), (None, vec!["2:5: t.k: should be from 1 to 9".to_owned()]), "{text}");
        }
        assert_eq!(within("-1").1.len(), 1, "one problem for one value");
        assert_eq!(read("[t]", |table, notes| table.number_in("k", 1..=9, notes)), (None, vec![]));
    }

    #[test]
    fn prices_are_kept_in_millionths() {
        for (text, value) in [
            ("1", 1_000_000),
            ("0.5", 500_000),
            ("0.000001", 1),
            ("1_0.5", 10_500_000),
            ("0", 0),
            ("1e2", 100_000_000),
        ] {
            assert_eq!(millionths(text), Some(value), "{text}");
        }
        for text in ["-0.1", "1e9", "nan", "inf", "\"1\"", "true"] {
            assert_eq!(millionths(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "# ä\n[t]\n\"ä\" = 1\nö = 2\nk = true";
        let ((), problems) = read("[t]\na = 1\n\"ä\" = { k = 7 }", |table, notes| {
            let inner = table.table("ä", notes).expect("a table");
            assert_eq!(inner.boolean("k", notes), None);
        });
        assert_eq!(problems, ["3:13: t.ä.k: should be true or false, and is an integer"]);
        let collector = ProblemCollector::new(text);
        let at = text.find("true").expect("there");
        let problem = collector.at(at..at + 4, "k", String::new());
        assert_eq!((problem.line, problem.column), (5, 5));
        let beyond = collector.at(9999..9999, "", String::new());
        assert_eq!(beyond.line, 5, "a place that is none is the end");
    }

    #[test]
    fn a_list_of_texts_may_be_one_text_and_keeps_what_is_right_of_it() {
        let strings = |text: &str| {
            read(&format!("[t]\nk = {text}"), |table, notes| {
                let value = table.get("k").expect("there");
                value.strings(notes).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
            })
        };
        assert_eq!(strings("\"a\""), (vec!["a".to_owned()], vec![]));
        assert_eq!(strings("[\"a\", \"b\"]").0, ["a", "b"]);
        let (kept, problems) = strings("[\"a\", 7, \"b\"]");
        assert_eq!(kept, ["a", "b"]);
        assert_eq!(problems, ["2:11: t.k[1]: should be a string, and is an integer"]);
        assert_eq!(strings("7").1, ["2:5: t.k: should be a string or a list of strings, and is an integer"]);
    }

    #[test]
    fn a_word_is_one_of_those_that_are_known() {
        let word = |text: &str| {
            read(&format!("[t]\nk = {text}"), |table, notes| {
                table.word("k", &[("off", 0), ("parse", 1)], notes)
            })
        };
        assert_eq!(word("\"parse\""), (Some(1), vec![]));
        assert_eq!(
            word("\"pars\""),
            (None, vec!["2:5: t.k: should be one of: off, parse; did you mean \"parse\"?".to_owned()])
        );
        assert_eq!(word("\"elsewhere\"").1, ["2:5: t.k: should be one of: off, parse"]);
        assert_eq!(word("true").1, ["2:5: t.k: should be a string, and is a boolean"]);
    }

    #[test]
    fn times_and_sizes_say_how_they_are_written() {
        let time = |text: &str| read(&format!("[t]\nk = {text}"), |table, notes| table.duration("k", notes));
        assert_eq!(time("\"5m\""), (Some(Duration::from_secs(300)), vec![]));
        for text in ["\"5\"", "5", "\"0s\"", "\"5 minutes\""] {
            assert!(
                matches!(&time(text), (None, problems) if problems[0].contains("such as \"10s\"")),
                "{text}"
            );
        }
        let size = |text: &str| read(&format!("[t]\nk = {text}"), |table, notes| table.size("k", notes));
        assert_eq!(size("\"1kB\""), (Some(1000), vec![]));
        for text in ["\"1\"", "1024", "\"-1kB\""] {
            assert!(
                matches!(&size(text), (None, problems) if problems[0].contains("such as \"64MiB\"")),
                "{text}"
            );
        }
    }
}
