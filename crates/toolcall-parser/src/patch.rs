//! The patch of Codex's `apply_patch` in whatever a model wrapped it: decorated lines, code blocks, words, a shell's here-document.
//!
//! A patch begins with the line `*** Begin Patch` and ends with `*** End Patch`; every line between them begins with a mark of its own
//! (`+`, `-`, a blank, `@@`, `*** `), so a line that ends the patch has none before it. What is between is never touched.

use std::borrow::Cow;

use crate::json::{self, Value};

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
/// What the first line of a patch's body begins with.
const FIRST_LINES: [&str; 4] =
    ["*** Add File:", "*** Update File:", "*** Delete File:", "*** Environment ID:"];
/// How deep a patch is looked for in JSON.
const MAX_DEPTH: usize = 6;

/// A line between two places of a text, without its end.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

/// The patch that a text holds, as its tool takes it: its first and its last line exactly so, no carriage returns. `None` when the text
/// holds none, several, or one whose end is not certain. A patch with nothing to put right comes back as it is.
///
/// ```
/// use toolcall_parser::patch;
///
/// let text = "```\n** Begin Patch **\n*** Delete File: a\n*** End Patch ***\n```";
/// assert_eq!(patch(text).as_deref(), Some("*** Begin Patch\n*** Delete File: a\n*** End Patch"));
/// assert_eq!(patch("*** Begin Patch\n*** Delete File: a"), None);
/// ```
pub fn patch(text: &str) -> Option<Cow<'_, str>> {
    let (mut found, mut rest) = (None, text);
    let mut cuts = 0;
    while let Some((cut, end)) = first_patch(rest) {
        cuts += 1;
        // The same patch once more is no second one.
        if found.get_or_insert_with(|| cut.clone()) != &cut {
            return None;
        }
        rest = &rest[end..];
    }
    match found {
        Some(_) if lines(rest).any(|line| is_begin(line.text)) => None,
        Some(found) if cuts == 1 && is_right(text, &found) => Some(Cow::Borrowed(text)),
        Some(found) => Some(Cow::Owned(found)),
        None => unescaped(text).and_then(|text| Some(Cow::Owned(patch(&text)?.into_owned()))),
    }
}

/// Nothing has to be put right: at most a line break follows.
fn is_right(text: &str, found: &str) -> bool {
    text.strip_prefix(found).is_some_and(|rest| matches!(rest, "" | "\n"))
}

/// The first patch of a text, put right, and where it ends.
fn first_patch(text: &str) -> Option<(String, usize)> {
    let mut following = lines(text);
    let begin = following.by_ref().find(|line| {
        is_begin(line.text) || (ends_in_begin(line.text) && is_first_line(lines(&text[line.end..]).next()))
    })?;
    let mut plain = Vec::new();
    let mut blank = None;
    let mut last = begin;
    for line in following {
        if !is_signed(line.text) && is_marker(line.text, "end patch") {
            if line.text.starts_with([' ', '\t']) {
                blank = Some(line);
            } else {
                plain.push(line);
            }
        } else if !line.text.starts_with([' ', '\t', '+', '-']) && is_begin(line.text) {
            break;
        }
        if !line.text.trim().is_empty() {
            last = line;
        }
    }
    let starred: Vec<&Line<'_>> = plain.iter().filter(|line| line.text.starts_with(END)).collect();
    let end = match (starred.as_slice(), plain.as_slice(), blank) {
        ([end], ..) => **end,
        ([], [end], _) => *end,
        // A line with a blank before it is one of the patch, unless nothing but what wraps the patch follows.
        ([], [], Some(end)) if end.start == last.start || is_wrapping(&text[end.end..]) => end,
        _ => return None,
    };
    let body = &text[begin.end..end.start];
    let crlf = begin.text.ends_with('\r') || lines(body).all(|line| line.text.ends_with('\r'));
    let mut out = String::with_capacity(body.len() + BEGIN.len() + END.len() + 1);
    out.push_str(BEGIN);
    out.push('\n');
    for line in lines(body) {
        out.push_str(if crlf { line.text.strip_suffix('\r').unwrap_or(line.text) } else { line.text });
        out.push('\n');
    }
    out.push_str(END);
    Some((out, end.end))
}

/// The lines of a text; carriage returns alone break lines where there is no line feed.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let break_at = if text.contains('\n') { '\n' } else { '\r' };
    let mut start = 0;
    text.split_inclusive(break_at).map(move |line| {
        let from = start;
        start += line.len();
        Line { text: line.strip_suffix(break_at).unwrap_or(line), start: from, end: start }
    })
}

fn is_begin(line: &str) -> bool {
    !is_signed(line) && is_marker(line, "begin patch")
}

/// A line that a patch adds or takes away begins with one sign; a rule of dashes has several.
fn is_signed(line: &str) -> bool {
    line.bytes().take_while(|byte| matches!(byte, b'+' | b'-')).count() == 1
}

/// Words before the mark, as in `apply_patch "*** Begin Patch`.
fn ends_in_begin(line: &str) -> bool {
    let Some(at) = line.find(BEGIN) else { return false };
    !line.starts_with([' ', '+', '-']) && is_marker(&line[at..], "begin patch")
}

fn is_first_line(line: Option<Line<'_>>) -> bool {
    line.is_some_and(|line| FIRST_LINES.iter().any(|begin| line.text.starts_with(begin)))
}

/// True for a line that holds these words and decoration alone.
fn is_marker(line: &str, words: &str) -> bool {
    let decorates = |c: char| {
        c.is_whitespace() || "*#`_=-~>\"'():;.,|•—–·$\\".contains(c) || c == '\u{feff}' || c == '\u{200b}'
    };
    let mut inner = line.trim_matches(decorates).split_whitespace();
    let mut words = words.split(' ');
    loop {
        match (inner.next(), words.next()) {
            (None, None) => return true,
            (Some(found), Some(word)) if found.eq_ignore_ascii_case(word) => {}
            _ => return false,
        }
    }
}

/// What may close the wrapping of a patch whose last line has a blank before it: ends of blocks and here-documents. With a blank before
/// them they are lines of the patch as well.
fn is_wrapping(text: &str) -> bool {
    lines(text).all(|line| {
        let line = line.text.trim_end();
        line.is_empty()
            || line.chars().all(|c| "`~'\")}];".contains(c))
            || (line.len() <= 16 && line.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    })
}

/// A text in one line whose line breaks are escaped, as in a string of JSON that was escaped twice.
fn unescaped(text: &str) -> Option<String> {
    if text.contains('\n') || !text.contains("\\n") || !text.to_ascii_lowercase().contains("begin patch") {
        return None;
    }
    match json::read(&format!("\"{text}\""))? {
        (Value::String(inner), _) => Some(inner.into_owned()),
        _ => None,
    }
}

/// The one patch in the arguments of a call, in whatever JSON it stands.
pub(crate) fn in_value(value: &Value<'_>) -> Option<String> {
    let mut found = None;
    collect(value, 0, &mut found).then_some(found).flatten()
}

/// False when there are several different ones.
fn collect(value: &Value<'_>, depth: usize, found: &mut Option<String>) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    match value {
        Value::String(text) => {
            if text.trim_start().starts_with(['{', '['])
                && let Some((inner, _)) = json::read(text)
            {
                return collect(&inner, depth + 1, found);
            }
            let Some(patch) = patch(text) else { return true };
            found.get_or_insert_with(|| patch.clone().into_owned()) == patch.as_ref()
        }
        Value::Array(items) => items.iter().all(|item| collect(item, depth + 1, found)),
        Value::Object(entries) => entries.iter().all(|(_, value)| collect(value, depth + 1, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &str = "*** Update File: a.txt\n@@\n-old\n+new\n";

    fn right() -> String {
        format!("{BEGIN}\n{BODY}{END}")
    }

    #[test]
    fn both_ends_are_put_right_whatever_wraps_them() {
        for (begin, end) in [
            ("*** Begin Patch ***", "*** End Patch ***"),
            ("*** Begin Patch", "*** End Patch\n"),
            ("** Begin Patch", "** End Patch"),
            ("Begin Patch", "End Patch"),
            ("  *** Begin Patch  ", "  *** End Patch  "),
            ("***Begin Patch", "***End Patch"),
            ("*** begin patch", "*** END PATCH"),
            ("**Begin Patch**", "**End Patch**"),
            ("--- Begin Patch ---", "--- End Patch ---"),
            ("### Begin Patch", "### End Patch"),
            ("```\n*** Begin Patch", "*** End Patch\n```"),
            ("```patch\n*** Begin Patch", "*** End Patch\n```\nThat is all."),
            ("Here is the patch:\n\n*** Begin Patch", "*** End Patch\n\nI hope it helps."),
            ("apply_patch <<'EOF'\n*** Begin Patch", "*** End Patch\nEOF"),
            ("apply_patch <<\"PATCH\"\n*** Begin Patch", "*** End Patch\nPATCH\n"),
            ("cd src && apply_patch <<EOF\n*** Begin Patch", " *** End Patch\nEOF"),
            ("$ apply_patch '*** Begin Patch", "*** End Patch'"),
            ("apply_patch \"*** Begin Patch", "*** End Patch\""),
            ("\u{feff}*** Begin Patch", "*** End Patch"),
        ] {
            let text = format!("{begin}\n{BODY}{end}");
            assert_eq!(patch(&text).as_deref().map(str::trim_end), Some(right().as_str()), "{text}");
        }
        let twice = format!("{}\n\n{}", right(), right());
        assert_eq!(patch(&twice).as_deref(), Some(right().as_str()));
        let windows = right().replace('\n', "\r\n");
        assert_eq!(patch(&windows).as_deref(), Some(right().as_str()));
        assert_eq!(patch(&right().replace('\n', "\r")).as_deref(), Some(right().as_str()));
        let escaped = right().replace('\n', "\\n");
        assert_eq!(patch(&escaped).as_deref(), Some(right().as_str()));
    }

    #[test]
    fn a_right_patch_is_not_touched() {
        for text in [right(), format!("{}\n", right())] {
            assert!(matches!(patch(&text), Some(Cow::Borrowed(same)) if same == text), "{text}");
        }
    }

    #[test]
    fn lines_of_the_patch_are_its_own() {
        for body in [
            "*** Add File: doc.md\n+```\n+*** Begin Patch\n+*** End Patch\n+```\n",
            "*** Update File: doc.md\n@@\n ```\n *** Begin Patch\n-*** End Patch\n *** End Patch\n ```\n",
            "*** Add File: run.sh\n+apply_patch <<'EOF'\n+EOF\n",
            "*** Update File: w.txt\n@@\n-a\r\n+b\n",
            "*** Update File: a\n@@\n\n+\n",
        ] {
            for (begin, end) in [
                (BEGIN, END),
                ("*** Begin Patch ***", "*** End Patch ***"),
                ("```\n*** Begin Patch", "*** End Patch\n```"),
            ] {
                let text = format!("{begin}\n{body}{end}");
                assert_eq!(patch(&text).as_deref(), Some(format!("{BEGIN}\n{body}{END}").as_str()), "{text}");
            }
        }
    }

    #[test]
    fn what_is_not_certain_is_no_patch() {
        for text in [
            String::new(),
            "no patch".to_owned(),
            format!("{BEGIN}\n{BODY}"),
            format!("{BODY}{END}"),
            format!("{BEGIN}\n{BODY}{END}\n{BODY}{END}"),
            format!("{}\n{}", right(), right().replace("new", "other")),
            format!("{}\n{BEGIN}\n{BODY}", right()),
            format!("{BEGIN}\n{BODY}+{END}"),
            format!("{BEGIN}\n{BODY} {END}\n ```\n"),
            format!("{BEGIN}\n{BODY} {END}\n-more"),
            format!("I write *** Begin Patch\nand so on\n{END}"),
        ] {
            assert_eq!(patch(&text), None, "{text}");
        }
    }

    #[test]
    fn it_is_found_in_any_json() {
        let shell = format!("apply_patch <<'EOF'\n{}\nEOF\n", right());
        for value in [
            serde_json::json!({ "input": right() }),
            serde_json::json!({ "patch": right(), "path": "a.txt" }),
            serde_json::json!({ "arguments": { "input": right() } }),
            serde_json::json!({ "arguments": serde_json::json!({ "input": right() }).to_string() }),
            serde_json::json!({ "command": ["apply_patch", right()] }),
            serde_json::json!({ "command": ["bash", "-lc", shell] }),
            serde_json::json!({ "cmd": shell }),
            serde_json::json!([right()]),
        ] {
            let text = value.to_string();
            let (value, _) = json::read(&text).expect("JSON");
            assert_eq!(in_value(&value).as_deref(), Some(right().as_str()), "{text}");
        }
        let two = serde_json::json!({ "a": right(), "b": right().replace("new", "other") }).to_string();
        let (two, _) = json::read(&two).expect("JSON");
        assert_eq!(in_value(&two), None);
    }

    proptest! {
        #[test]
        fn whatever_a_patch_adds_stays(lines in proptest::collection::vec("[+ -](\\PC{0,12}|\\*\\*\\* (End|Begin) Patch|```)", 0..6), begin in "[*` ]{0,3}", end in "[*` ]{0,3}") {
            let body = lines.iter().fold(String::new(), |body, line| body + line + "\n");
            let text = format!("{begin}*** Begin Patch{end}\n*** Update File: a\n@@\n{body}*** End Patch{end}\nEOF\n");
            let want = format!("{BEGIN}\n*** Update File: a\n@@\n{body}{END}");
            prop_assert_eq!(patch(&text).map(Cow::into_owned), Some(want));
        }
    }
}
