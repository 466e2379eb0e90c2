//! Slips that models and the layers behind them make in well-formed calls: each is a function from a text to the same call, written
//! wrong. `None` where a text has nothing of what the slip is about.

use std::fmt::Write as _;

/// One slip.
pub(crate) struct Slip {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&str) -> Option<String>,
}

const fn slip(name: &'static str, make: fn(&str) -> Option<String>) -> Slip {
    Slip { name, make }
}

pub(crate) const SLIPS: &[Slip] = &[
    slip("blanks beside bars", |text| marks(text, |mark| is_barred(mark).then(|| spaced(mark)))),
    slip("blanks in tags", |text| {
        marks(text, |mark| {
            let inside = mark.strip_prefix('<')?.strip_suffix('>').filter(|_| !is_barred(mark))?;
            Some(match inside.strip_prefix('/') {
                Some(inside) => format!("</ {inside} >"),
                None => format!("< {inside} >"),
            })
        })
    }),
    slip("blanks before the end of tags", |text| {
        marks(text, |mark| {
            mark.strip_suffix('>').filter(|_| !is_barred(mark)).map(|rest| format!("{rest} >"))
        })
    }),
    slip("full-width bars", |text| marks(text, |mark| other_bars(mark, "｜"))),
    slip("ASCII bars", |text| marks(text, |mark| other_bars(mark, "|"))),
    slip("box-drawing bars", |text| marks(text, |mark| other_bars(mark, "│"))),
    slip("doubled bars", |text| marks(text, |mark| other_bars(mark, "||"))),
    slip("underscores escaped", |text| marks(text, |mark| low(mark, "\\_"))),
    slip("underscores lost", |text| marks(text, |mark| low(mark, " "))),
    slip("underscores of the other kind", |text| marks(text, |mark| low(mark, "▁"))),
    slip("a value closed twice", |text| {
        marks(text, |mark| closes_value(mark).then(|| format!("{mark}\n{mark}")))
    }),
    slip("a value closed three times", |text| marks(text, |mark| closes_value(mark).then(|| mark.repeat(3)))),
    slip("a call closed twice", |text| {
        marks(text, |mark| (is_close(mark) && !closes_value(mark)).then(|| format!("{mark}\n{mark}")))
    }),
    slip("the first mark twice", |text| {
        let (at, first) = *marks_of(text).first()?;
        let alone = ["<|channel|>", "<write_file>", "<search>"].contains(&first);
        (at == 0 && !alone && !first.contains('=')).then(|| format!("{first}\n{text}"))
    }),
    slip("the last mark twice", |text| {
        let last = marks_of(text).pop().filter(|(at, mark)| at + mark.len() == text.trim_end().len())?.1;
        is_close(last).then(|| format!("{}\n{last}", text.trim_end()))
    }),
    slip("the last mark lost", |text| {
        let (at, last) =
            marks_of(text).pop().filter(|(at, mark)| at + mark.len() == text.trim_end().len())?;
        (is_close(last)).then(|| text[..at].trim_end().to_owned())
    }),
    slip("the first mark lost", |text| {
        let (at, first) = *marks_of(text).first()?;
        let tells = first.contains('=') || TELLING.contains(&first);
        (at == 0 && !tells).then(|| text[first.len()..].trim_start().to_owned())
    }),
    slip("a brace too many", |text| json(text, |object| Some(format!("{object}}}")))),
    slip("two closers too many", |text| json(text, |object| Some(format!("{object}\n}}]")))),
    slip("arrows for colons", |text| json(text, |object| Some(object.replace("\": ", "\" => ")))),
    slip("thin arrows for colons", |text| json(text, |object| Some(object.replace("\": ", "\"->")))),
    slip("equals signs for colons", |text| json(text, |object| Some(object.replace("\": ", "\"=")))),
    slip("arrows in Python", |text| python(text, " => ")),
    slip("colons in Python", |text| python(text, ": ")),
    slip("semicolons between calls", |text| {
        // Only behind an object that is one of several.
        text.contains("}}, {\"").then(|| text.replace("}}, {\"", "}}; {\""))
    }),
    slip("attributes more", |text| {
        text.contains("name=\"").then(|| text.replace("name=\"", "id=\"7\" name=\""))
    }),
    slip("attributes behind", |text| {
        marks(text, |mark| {
            let named = mark.contains("name=") || mark.contains("function=") || mark.contains("parameter=");
            mark.strip_suffix('>').filter(|_| named).map(|rest| format!("{rest} id='7'>"))
        })
    }),
    slip("attributes in another order", |text| {
        let dsml = text.contains(" string=\"").then(|| marks(text, swapped)).flatten();
        dsml.or_else(|| text.contains(" index=\"").then(|| kimi_attributes(text)))
    }),
    slip("attributes in single quotes", |text| {
        marks(text, |mark| mark.contains("name=\"").then(|| mark.replace('"', "'")))
    }),
    slip("attributes without quotes", |text| {
        marks(text, |mark| mark.contains("name=\"").then(|| mark.replace('"', "")))
    }),
    slip("attributes with colons", |text| {
        marks(text, |mark| mark.contains("name=\"").then(|| mark.replacen("name=", "name: ", 1)))
    }),
    slip("a name by a sign", |text| {
        marks(text, |mark| mark.contains(" name=\"").then(|| mark.replacen(" name=", "=", 1)))
    }),
    slip("a name by an attribute", |text| {
        marks(text, |mark| {
            let inside = mark.strip_prefix("<function=").map(|rest| ("<function", rest));
            let inside =
                inside.or_else(|| mark.strip_prefix("<parameter=").map(|rest| ("<parameter", rest)))?;
            Some(format!("{} name=\"{}\">", inside.0, inside.1.strip_suffix('>')?))
        })
    }),
    slip("ids with underscores", |text| ids(text, "functions_", "_")),
    slip("ids with dots", |text| ids(text, "functions.", ".")),
    slip("ids with colons", |text| ids(text, "functions:", ":")),
    slip("ids with slashes", |text| ids(text, "functions/", "/")),
    slip("ids without a namespace", |text| ids(text, "", ":")),
    slip("ids without a number", |text| {
        let text = ids(text, "functions.", ":")?;
        Some(text.replace(":0<", "<").replace(":1<", "<"))
    }),
    slip("the token before arguments lost", |text| {
        let words = ["<|tool_call_argument_begin|>", "[ARGS]", "<｜tool▁sep｜>"];
        let word = words.iter().find(|word| text.contains(**word) && !text.contains("function<"))?;
        Some(text.replace(word, ""))
    }),
    slip("the token behind calls lost", |text| {
        let words = [
            "<|tool_call_end|>",
            "<｜tool▁call▁end｜>",
            "<｜tool_call_end｜>",
            "<|plamo:end_tool_arguments:plamo|>",
            "<|plamo:end_tool_request:plamo|>",
            "<|call|>",
        ];
        let word = words.iter().find(|word| text.contains(**word))?;
        Some(text.replace(word, ""))
    }),
    slip("the token before calls lost", |text| {
        let words = [
            "<|tool_call_begin|>",
            "<|plamo:begin_tool_request:plamo|>",
            "<|tools_prefix|>",
            "<|open|>tools<|sep|>",
            "<｜tool_calls_begin｜>",
            "<｜tool▁calls▁begin｜>",
            "<|action_start|>",
        ];
        let word = words[1..].iter().find(|word| text.contains(**word))?;
        (*word != "<|tools_prefix|>").then(|| text.replace(word, ""))
    }),
    slip("harmony without tokens", |text| {
        let lines = text.contains("<|channel|>").then(|| text.replace("<|call|>", "\n"))?;
        let words = ["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>"];
        Some(words.iter().fold(lines, |text, word| text.replace(word, "")))
    }),
    slip("line breaks between marks", |text| {
        let joined = [("<|", "|><|"), ("<｜", "｜><｜"), ("]<]", "]<]minimax[>[")];
        let (_, pair) = joined.iter().find(|(begin, pair)| text.contains(begin) && text.contains(pair))?;
        (*pair == "|><|" && !text.contains("open|>")).then(|| text.replace("|><|", "|>\n<|"))
    }),
];

/// Marks that are all that tells a call: without them it is another dialect's or none.
const TELLING: &[&str] = &[
    "<tool_call>",
    "<tool_calls>",
    "<function_calls>",
    "<|python_tag|>",
    "<|python_start|>",
    "<|tool_call_start|>",
    "<|tool_call>",
    "<start_function_call>",
    "<|tool_calls|>",
    "<|tools_prefix|>",
    "<|tool_call|>",
    "<function_call>",
    "<TOOLCALL>",
    "<|START_ACTION|>",
    "<|content_invoke_tool_json|>",
    "<|function_call|>",
    "<longcat_tool_call>",
    "<|channel|>",
    "<|message_sep|>",
    "<|open|>",
    "<ifm|tool_calls>",
    "<write_file>",
    "<search>",
    "<dots_function_call>",
];

/// What stands behind a value between tags.
const VALUE_CLOSES: &[&str] = &[
    "</p",
    "</arg",
    "</ifm|arg",
    "</｜DSML",
    "</｜｜DSML",
    "</|DSML",
    "</||DSML",
    "</｜GCML",
    "</steptml",
    "</filter>",
    "</atem:",
    "<|close|>argument",
    "]<]",
];

/// Every mark of a text, and where it stands: a tag, or a token between bars.
fn marks_of(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find('<') {
        at += next;
        let rest = &text[at..];
        let begins =
            rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '|' | '｜'));
        let end = rest.find('>').filter(|end| begins && !rest[1..*end].contains(['<', '\n', '{']));
        match end {
            Some(end) => {
                found.push((at, &rest[..=end]));
                at += end + 1;
            }
            None => at += 1,
        }
    }
    found
}

/// The text with other marks; `None` when none of them changed.
fn marks(text: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut from = 0;
    let mut changed = false;
    for (at, mark) in marks_of(text) {
        out.push_str(&text[from..at]);
        match change(mark) {
            Some(other) => {
                changed |= other != mark;
                out.push_str(&other);
            }
            None => out.push_str(mark),
        }
        from = at + mark.len();
    }
    out.push_str(&text[from..]);
    changed.then_some(out)
}

fn is_barred(mark: &str) -> bool {
    mark.contains(['|', '｜'])
}

fn is_close(mark: &str) -> bool {
    mark.starts_with("</")
        || ["end", "END", "suffix", "eom", "<|call|>"].iter().any(|word| mark.contains(word))
}

fn closes_value(mark: &str) -> bool {
    let words = ["parameter>", "param>", "arg_value"];
    mark.starts_with("</") && words.iter().any(|word| mark.contains(word))
}

/// Blanks on the inner side of every bar and beside the brackets.
fn spaced(mark: &str) -> String {
    let mut out = String::new();
    for c in mark.chars() {
        match c {
            '|' | '｜' => {
                let _ = write!(out, " {c} ");
            }
            c => out.push(c),
        }
    }
    out
}

fn other_bars(mark: &str, bar: &str) -> Option<String> {
    // A quotation mark between bars, as Gemma has it, is a mark too.
    let single = mark.replace("｜｜", "｜").replace("||", "|");
    is_barred(mark).then(|| single.replace(['|', '｜'], bar))
}

fn low(mark: &str, sign: &str) -> Option<String> {
    (is_barred(mark) && !mark.contains("DSML") && !mark.contains("GCML"))
        .then(|| mark.replace(['_', '▁'], sign))
}

/// `name="a" string="true"` the other way round.
fn swapped(mark: &str) -> Option<String> {
    let (head, rest) = mark.split_once("name=\"")?;
    let (name, string) = rest.split_once("\" string=")?;
    Some(format!("{head}string={} name=\"{name}\">", string.strip_suffix('>')?))
}

fn kimi_attributes(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive("<|sep|>") {
        let inside = part.strip_suffix("<|sep|>");
        let attributes = inside.and_then(|inside| {
            let (head, rest) = inside.split_once(" tool=").or_else(|| inside.split_once(" key="))?;
            let word = if inside.contains(" tool=") { "tool" } else { "key" };
            let (first, second) = rest.split_once("\" ")?;
            Some(format!("{head} {second} {word}={first}\"<|sep|>"))
        });
        out.push_str(attributes.as_deref().unwrap_or(part));
    }
    out
}

/// Changes the JSON objects that are arguments or calls of a text: from a `{` behind a mark, a name or a line break on.
fn json(text: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut at = 0;
    let mut changed = false;
    while let Some(found) = text[at..].find("{\"") {
        let start = at + found;
        out.push_str(&text[at..start]);
        let mut stream = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde_json::Value>();
        let Some(Ok(_)) = stream.next() else { return None };
        let end = start + stream.byte_offset();
        // A value between tags is text, and text has no slips.
        let behind = text[end..].trim_start();
        let value = VALUE_CLOSES.iter().any(|tag| behind.starts_with(tag));
        match change(&text[start..end]).filter(|_| !value) {
            Some(other) => {
                changed = true;
                out.push_str(&other);
            }
            None => out.push_str(&text[start..end]),
        }
        at = end;
    }
    out.push_str(&text[at..]);
    changed.then_some(out)
}

/// Another sign for the one between a keyword and its value, in a call with a marker.
fn python(text: &str, sign: &str) -> Option<String> {
    let marked = ["<|python_start|>", "<|tool_call_start|>", "<function_calls>"];
    let first = marked.iter().any(|mark| text.starts_with(mark)) && text.contains("(path=");
    first.then(|| {
        ["path=", "content=", "city=", "days=", "metric="]
            .iter()
            .fold(text.to_owned(), |text, key| text.replace(key, &key.replace('=', sign)))
    })
}

fn ids(text: &str, before: &str, behind: &str) -> Option<String> {
    if !text.contains("functions.") || !text.contains("<|tool_call_begin|>") {
        return None;
    }
    let mut out = text.to_owned();
    for number in 0..3 {
        out = out.replace(&format!(":{number}<"), &format!("{behind}{number}<"));
    }
    Some(out.replace("functions.", before))
}
