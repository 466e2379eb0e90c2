//! Argument objects and what stands around them. A provider that sends its arguments twice, two calls under one name, or a bracket too
//! many behind them, still said what it meant: the objects are whole, and only what is between and behind them is not JSON.

use std::borrow::Cow;

use crate::json::{self, Leniencies, Value};

/// More objects than this in one text are no slip.
const MAX_OBJECTS: usize = 16;
/// The longest tag that is passed over as markup, in bytes.
const MAX_TAG: usize = 256;

/// An argument object, and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) leniencies: Leniencies,
    pub(crate) source: &'a str,
}

/// What a text of arguments is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading<'a> {
    /// It does not begin with a whole object, or with a list of them.
    Other,
    /// It begins with one, and what follows may be a part of what was meant.
    Uncertain,
    /// These objects are what was meant, in their order; of copies the first. Never empty.
    Objects(Vec<Object<'a>>),
}

/// What stands behind an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Behind {
    /// A word: something that is neither a bracket nor a tag.
    words: bool,
    /// A quotation mark outside of tags.
    quotes: bool,
    /// How many brackets close a list.
    list_ends: usize,
}

/// Reads the objects of a text that is not one JSON object as it stands.
pub(crate) fn read(text: &str) -> Reading<'_> {
    let text = unfenced(text.trim_start());
    let (list, mut rest) = match text.strip_prefix('[') {
        Some(inside) => (true, inside),
        None => (false, text),
    };
    let mut found: Vec<Object<'_>> = Vec::new();
    let mut behind = Behind::default();
    while let Some((value, leniencies, end)) = json::object_at_start(rest) {
        if found.len() == MAX_OBJECTS {
            return Reading::Uncertain;
        }
        found.push(Object { value, leniencies, source: rest[..end].trim_start() });
        rest = skip(&rest[end..], &mut behind);
    }
    if found.is_empty() {
        return Reading::Other;
    }
    // A beginning without an end, or a word that speaks of keys and values: the object before it may have closed too early.
    if !rest.is_empty() || (behind.words && (behind.quotes || list)) || (list && behind.list_ends == 0) {
        return Reading::Uncertain;
    }
    let mut different: Vec<Object<'_>> = Vec::new();
    for object in found {
        if !different.iter().any(|known| same(&known.value, &object.value)) {
            different.push(object);
        }
    }
    // Words between two objects may say that the second stands in the place of the first.
    if different.len() > 1 && behind.words {
        return Reading::Uncertain;
    }
    Reading::Objects(different)
}

/// The text without the line that begins a code block. Its end is markup like any other.
fn unfenced(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```") else { return text };
    let body = inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    if body.starts_with(['\n', '\r', ' ', '{', '[']) { body.trim_start() } else { text }
}

/// Passes over what is no object: brackets, separators, tags, words. Stops before a brace that opens.
fn skip<'a>(text: &'a str, behind: &mut Behind) -> &'a str {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '{' => return rest,
            '<' => {
                let length = tag(rest);
                behind.words |= length.is_none();
                length.unwrap_or(1)
            }
            '"' => {
                behind.quotes = true;
                1
            }
            ']' => {
                behind.list_ends += 1;
                1
            }
            '}' | '[' | '(' | ')' | '>' | ',' | ';' | '.' | '\'' | '`' | '\\' => 1,
            c if c.is_whitespace() || c.is_control() => c.len_utf8(),
            c => {
                behind.words = true;
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    rest
}

/// The length of the tag that a text begins with: `</tool_call>`, `<|im_end|>`, or the beginning of one that the text's end cuts.
fn tag(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('<')?;
    let marked = inside.starts_with(['/', '|', '｜', '!', '?']);
    if !marked && !inside.starts_with(|c: char| c.is_alphabetic()) {
        return None;
    }
    match inside.find(['>', '<', '{', '\n']) {
        Some(end) if inside.as_bytes()[end] == b'>' && end <= MAX_TAG => Some(end + 2),
        // Nothing of it is a word as long as it is the last thing: leaked markup ends where the model's tokens did.
        None if marked && inside.len() <= MAX_TAG => Some(text.len()),
        _ => None,
    }
}

/// The same value, whatever the order of its keys.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let has = |(key, value): &(Cow<'_, str>, Value<'_>)| {
                b.iter().any(|(other, known)| other == key && same(value, known))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sources of the objects; `None` where it is uncertain or none begins.
    fn sources(text: &str) -> Option<Vec<String>> {
        match read(text) {
            Reading::Objects(objects) => {
                Some(objects.into_iter().map(|object| object.source.to_owned()).collect())
            }
            Reading::Other | Reading::Uncertain => None,
        }
    }

    #[test]
    fn copies_are_one_and_others_are_several() {
        let (a, b) = (r#"{"command":"ls a"}"#, r#"{"command":"ls b"}"#);
        for between in ["", " ", "\n\n", ",", " , ", ";", "}", "\"}", "</tool_call>\n<tool_call>", "]["] {
            assert_eq!(sources(&format!("{a}{between}{a}")), Some(vec![a.to_owned()]), "{between:?}");
            assert_eq!(
                sources(&format!("{a}{between}{{ \"command\" : \"ls a\" }}")),
                Some(vec![a.to_owned()]),
                "{between:?}"
            );
            assert_eq!(
                sources(&format!("{a}{between}{b}")),
                Some(vec![a.to_owned(), b.to_owned()]),
                "{between:?}"
            );
        }
        assert_eq!(sources(&format!("[{a}, {a}]")), Some(vec![a.to_owned()]));
        assert_eq!(sources(&format!("[{a},{b}]")), Some(vec![a.to_owned(), b.to_owned()]));
        assert_eq!(sources(&format!("```json\n{a}\n```")), Some(vec![a.to_owned()]));
        assert_eq!(sources(&format!("{a}{b}{a}")), Some(vec![a.to_owned(), b.to_owned()]));
        assert_eq!(
            sources(r#"{"a":1,"b":[{"c":2,"d":3}]}{"b":[{"d":3,"c":2}],"a":1}"#).map(|all| all.len()),
            Some(1)
        );
    }

    #[test]
    fn what_is_no_object_is_dropped_where_nothing_can_be_missing() {
        let object = r#"{"command":"ls"}"#;
        for behind in [
            "}",
            "}}]",
            "\"}",
            "\"]}",
            " ",
            "\n```",
            "</tool_call>",
            "</｜DSML｜parameter>",
            "</｜DSML｜parameter",
            "<|im_end|>",
            "<|tool_call_end|><|tool_calls_section_end|>",
            "</parameter></invoke></function_calls>",
            "<parameter name=\"x\">",
            " I list the files.",
            " // the files",
            "\\n",
            ">",
            "<|",
        ] {
            assert_eq!(sources(&format!("{object}{behind}")), Some(vec![object.to_owned()]), "{behind:?}");
        }
        for behind in [
            ",\"cwd\":\"/\"}",
            "{",
            "{\"comm",
            "{\"command\":\"ls",
            "\" done\"}",
            " and \"then\"",
            " or {\"command\":\"ls b\"}",
            "<|im_end|{",
        ] {
            assert_eq!(read(&format!("{object}{behind}")), Reading::Uncertain, "{behind:?}");
        }
        for text in [
            "",
            "{",
            "[",
            "[]",
            "{\"command\":\"ls",
            "{\"command\": \"ls -la 2>&1</｜DSML｜parameter",
            "ls",
            "\"{}\"",
            "{\"cmd\":\"echo \"a\"\"}",
        ] {
            assert_eq!(read(text), Reading::Other, "{text:?}");
        }
        assert_eq!(read(&format!("[{object}")), Reading::Uncertain, "a list that was cut");
        assert_eq!(read(&object.repeat(MAX_OBJECTS + 1)), Reading::Uncertain);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i32>().prop_map(serde_json::Value::from),
            "(\\PC|[\"\\\\{}\\[\\],\n])*".prop_map(serde_json::Value::from),
            Just(serde_json::Value::from("{\"a\":1}{\"a\":1}")),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[a-z\"]{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = serde_json::Value> {
        proptest::collection::btree_map("[a-z]{1,4}", json(), 0..4)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn an_object_and_its_copy_are_one_and_two_are_two(a in object(), b in object(), space in "[ \n\t,]{0,3}") {
            let (first, second) = (a.to_string(), serde_json::to_string_pretty(&b).expect("JSON"));
            prop_assert_eq!(sources(&format!("{first}{space}{first}")), Some(vec![first.clone()]));
            let pretty = serde_json::to_string_pretty(&a).expect("JSON");
            prop_assert_eq!(sources(&format!("{first}{space}{pretty}")), Some(vec![first.clone()]));
            let both = format!("{first}{space}{second}");
            let want = if a == b { vec![first.clone()] } else { vec![first.clone(), second.clone()] };
            prop_assert_eq!(sources(&both), Some(want));
        }

        #[test]
        fn closers_behind_an_object_are_dropped(a in object(), closers in "[}\\]\" \n]{1,6}") {
            let first = a.to_string();
            prop_assert_eq!(sources(&format!("{first}{closers}")), Some(vec![first.clone()]));
        }

        #[test]
        fn a_beginning_is_never_an_object(a in object(), cut in any::<proptest::sample::Index>()) {
            let text = a.to_string();
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let cut = ends[cut.index(ends.len())];
            prop_assert_eq!(read(&text[..cut]), Reading::Other);
        }
    }
}
