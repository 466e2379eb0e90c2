//! The small words of every grammar, as nom parsers, and what it means that a word is not whole yet.

use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::character::streaming::char;
use nom::combinator::value;
use nom::sequence::delimited;
use nom::{Err, IResult, Parser as _};

/// What a word parser returns.
pub(crate) type LexResult<'a, T> = IResult<&'a str, T>;

/// The most white space a grammar allows between two of its words. A limit keeps every word short, and so the work linear.
pub(crate) const MAX_SPACE: usize = 512;
/// The most blanks that are passed over inside a mark.
const MAX_BLANKS: usize = 4;
/// The longest name of a tool or a parameter.
pub(crate) const MAX_NAME: usize = 256;

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookahead<T> {
    /// The word, and its length in bytes.
    Yes(T, usize),
    /// Something else.
    No,
    /// The text ends before it is clear.
    More,
}

impl<T> Lookahead<T> {
    /// The same, with something else for the word.
    pub(crate) fn map<U>(self, to: U) -> Lookahead<U> {
        match self {
            Self::Yes(_, length) => Lookahead::Yes(to, length),
            Self::No => Lookahead::No,
            Self::More => Lookahead::More,
        }
    }
}

/// Looks for a word at the start of `input`. With `end`, no more text will come, and an unfinished word is none.
pub(crate) fn find<'a, T>(
    parser: impl FnOnce(&'a str) -> LexResult<'a, T>,
    input: &'a str,
    end: bool,
) -> Lookahead<T> {
    match parser(input) {
        Ok((rest, found)) => Lookahead::Yes(found, input.len() - rest.len()),
        Err(Err::Incomplete(_)) if !end => Lookahead::More,
        Err(_) => Lookahead::No,
    }
}

/// One of these marks. Where one is the beginning of another, the longer one stands first.
pub(crate) fn any_of<'a>(words: &[&str], input: &'a str) -> LexResult<'a, ()> {
    let mut partial = None;
    for word in words {
        match mark(word)(input) {
            // A longer word may still come.
            Ok(_) if partial.is_some() => break,
            Ok(found) => return Ok(found),
            Err(Err::Incomplete(needed)) => partial = Some(needed),
            Err(_) => {}
        }
    }
    Err(match partial {
        Some(needed) => Err::Incomplete(needed),
        None => Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Tag)),
    })
}

/// A fixed text with the slips that models and the layers behind them make in it: blanks beside `<`, `/`, `|`, `>` and brackets,
/// bars doubled or of another alphabet, and for an underscore what stands for one. Nothing else: a mark with any other character in
/// it, an invisible one too, is none.
pub(crate) fn mark(word: &str) -> impl for<'a> Fn(&'a str) -> LexResult<'a, ()> + use<'_> {
    move |input| match input.strip_prefix(word) {
        Some(rest) => Ok((rest, ())),
        None => slipped(word, input),
    }
}

/// A mark that opens a block, said up to three times.
pub(crate) fn opener(word: &str) -> impl for<'a> Fn(&'a str) -> LexResult<'a, ()> + use<'_> {
    move |input| {
        let (mut rest, ()) = mark(word)(input)?;
        for _ in 1..3 {
            let (after, _) = ws(rest)?;
            match mark(word)(after) {
                Ok((again, ())) => rest = again,
                Err(Err::Incomplete(needed)) => return Err(Err::Incomplete(needed)),
                Err(_) => break,
            }
        }
        Ok((rest, ()))
    }
}

fn slipped<'a>(word: &str, input: &'a str) -> LexResult<'a, ()> {
    let incomplete = || Err(Err::Incomplete(nom::Needed::Unknown));
    let mut rest = input;
    let mut before = None;
    for c in word.chars() {
        let inner = matches!(before, Some('<' | '/' | '|' | '｜' | '['));
        let edge = before.is_some() && matches!(c, '|' | '｜' | '>' | '/' | ']');
        if (inner || edge) && c != ' ' {
            let blanks =
                rest.bytes().take(MAX_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            rest = &rest[blanks..];
        }
        let Some(next) = rest.chars().next() else { return incomplete() };
        let length = match c {
            '|' | '｜' if is_bar(next) => {
                let first = next.len_utf8();
                // Which bar is doubled is settled by what comes next.
                match rest[first..].chars().next() {
                    Some(second) if is_bar(second) => first + second.len_utf8(),
                    Some(_) => first,
                    None => return incomplete(),
                }
            }
            '_' | '▁' if matches!(next, '_' | '▁' | ' ' | '-') => next.len_utf8(),
            '_' | '▁' if next == '\\' => match rest[1..].chars().next() {
                Some('_') => 2,
                Some(_) => return never(input),
                None => return incomplete(),
            },
            _ if next == c => next.len_utf8(),
            _ => return never(input),
        };
        rest = &rest[length..];
        before = Some(c);
    }
    Ok((rest, ()))
}

/// One vertical bar, of whatever alphabet.
pub(crate) fn bar(input: &str) -> LexResult<'_, ()> {
    value((), take_while_m_n(1, 1, is_bar)).parse(input)
}

/// A vertical bar as layers between a model and its reader spell it.
pub(crate) fn is_bar(c: char) -> bool {
    matches!(c, '|' | '｜' | '¦' | '│' | '┃' | '∣' | '❘' | '︱' | 'ǀ')
}

/// A word that no text has: for grammars without a closing marker.
pub(crate) fn never(input: &str) -> LexResult<'_, ()> {
    Err(Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Fail)))
}

/// White space, perhaps none.
pub(crate) fn ws(input: &str) -> LexResult<'_, &str> {
    take_while_m_n(0, MAX_SPACE, is_space).parse(input)
}

/// White space inside a line, perhaps none.
pub(crate) fn blanks(input: &str) -> LexResult<'_, &str> {
    take_while_m_n(0, MAX_SPACE, |c| c == ' ' || c == '\t').parse(input)
}

pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// How much white space stands at the start, and whether it is all of the text. More than [`MAX_SPACE`] is not passed over: it would
/// be looked at again with every piece that arrives.
pub(crate) fn skip_space(text: &str) -> (usize, bool) {
    let length = text.bytes().take(MAX_SPACE).take_while(|byte| is_space(char::from(*byte))).count();
    (length, length == text.len())
}

/// A name outside of quotes.
pub(crate) fn name(input: &str) -> LexResult<'_, &str> {
    take_while_m_n(1, MAX_NAME, is_name).parse(input)
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '$' | '@')
}

/// An attribute's value: in quotes of any kind, or bare up to white space or the end of the tag.
pub(crate) fn quoted(input: &str) -> LexResult<'_, &str> {
    let inside = |quote: char| take_while_m_n(0, MAX_NAME, move |c| c != quote && c != '\n');
    alt((
        delimited(char('"'), inside('"'), char('"')),
        delimited(char('\''), inside('\''), char('\'')),
        delimited(char('“'), inside('”'), char('”')),
        take_while_m_n(1, MAX_NAME, |c: char| !is_space(c) && !matches!(c, '>' | '<' | '"' | '\'' | '“')),
    ))
    .parse(input)
}

/// The most attributes of a tag.
const MAX_ATTRIBUTES: usize = 8;

/// The attributes of a tag, in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attributes<'a> {
    found: [(&'a str, &'a str); MAX_ATTRIBUTES],
}

impl<'a> Attributes<'a> {
    /// The value of the first of these attributes that there is.
    pub(crate) fn get(&self, names: &[&str]) -> Option<&'a str> {
        let value = |name: &&str| self.found.iter().find(|(known, _)| known == name);
        names.iter().find_map(value).map(|(_, value)| *value)
    }
}

/// Attributes with the white space before each; perhaps none.
pub(crate) fn attributes(input: &str) -> LexResult<'_, Attributes<'_>> {
    let mut attributes = Attributes::default();
    let mut rest = input;
    for slot in &mut attributes.found {
        let (after, _) = ws(rest)?;
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let Some(first) = after.chars().next() else { return Err(Err::Incomplete(nom::Needed::Unknown)) };
        if !letter(first) {
            break;
        }
        let (after, name) = take_while_m_n(1, 64, letter).parse(after)?;
        let (signed, _) = ws(after)?;
        let (after, value) = match signed.chars().next() {
            Some('=' | ':') => ws(&signed[1..]).and_then(|(value, _)| quoted(value))?,
            Some(_) => (after, ""),
            None => return Err(Err::Incomplete(nom::Needed::Unknown)),
        };
        *slot = (name, value);
        rest = after;
    }
    Ok((rest, attributes))
}

/// The opening of a tag that names something: `<word=name …`, or `<word … name="name"` under one of these keys. The end of the tag is
/// left standing.
pub(crate) fn naming<'a>(
    word: &str,
    keys: &[&str],
    input: &'a str,
) -> LexResult<'a, (&'a str, Attributes<'a>)> {
    let (input, ()) = mark(word)(input)?;
    let (signed, _) = ws(input)?;
    let (rest, name) = match signed.chars().next() {
        Some('=' | ':') => {
            let (value, _) = ws(&signed[1..])?;
            quoted(value).map(|(rest, name)| (rest, Some(name)))?
        }
        Some(_) => (input, None),
        None => return Err(Err::Incomplete(nom::Needed::Unknown)),
    };
    // Another word begins like this one.
    if name.is_none() && !input.starts_with(is_space) {
        return never(input).map(|(rest, ())| (rest, ("", Attributes::default())));
    }
    let (rest, attributes) = attributes(rest)?;
    match name.or_else(|| attributes.get(keys)) {
        Some(name) => Ok((rest, (name, attributes))),
        None => never(input).map(|(rest, ())| (rest, ("", Attributes::default()))),
    }
}

/// The end of an opening tag.
pub(crate) fn tag_end(input: &str) -> LexResult<'_, ()> {
    value((), (ws, tag(">"))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_may_be_unfinished() {
        let word = |input| any_of(&["<tool_call>", "<tool"], input);
        assert_eq!(find(word, "<to", false), Lookahead::More);
        assert_eq!(find(word, "<to", true), Lookahead::No);
        assert_eq!(find(word, "<tool>", false), Lookahead::Yes((), 5));
        assert_eq!(find(word, "<tool", false), Lookahead::More);
        assert_eq!(find(quoted, "'a b'>", false), Lookahead::Yes("a b", 5));
        assert_eq!(find(quoted, "bare>", false), Lookahead::Yes("bare", 4));
    }

    #[test]
    fn a_mark_is_read_with_its_slips_and_nothing_else_in_it() {
        for (word, text) in [
            ("<|tool_call_begin|>", "<|tool_call_begin|>"),
            ("<|tool_call_begin|>", "< | tool_call_begin | >"),
            ("<|tool_call_begin|>", "<｜tool▁call▁begin｜>"),
            ("<|tool_call_begin|>", "<||tool call begin||>"),
            ("<|tool_call_begin|>", "<│tool\\_call\\_begin│>"),
            ("</tool_call>", "< /tool_call >"),
            ("[TOOL_CALLS]", "[ TOOL_CALLS ]"),
        ] {
            assert_eq!(find(mark(word), text, false), Lookahead::Yes((), text.len()), "{text}");
            for (at, _) in text.char_indices().skip(1) {
                assert_eq!(find(mark(word), &text[..at], false), Lookahead::More, "{text} cut at {at}");
            }
        }
        for text in [
            "<|tool\u{200b}_call_begin|>",
            "<\u{feff}|tool_call_begin|>",
            "<|toolcall_begin|>",
            "<|tool_call_begin>",
        ] {
            assert_eq!(find(mark("<|tool_call_begin|>"), text, true), Lookahead::No, "{text}");
        }
    }

    #[test]
    fn attributes_come_in_any_order() {
        let input = "<invoke id='1' name=\"f\" x>";
        let (rest, (name, found)) = naming("<invoke", &["name"], input).expect("a tag");
        assert_eq!((rest, name, found.get(&["id"])), (">", "f", Some("1")));
        for (input, want) in [("<invoke=f>", "f"), ("<invoke : 'f' a=1>", "f"), ("<invoke name=f>", "f")] {
            assert_eq!(
                naming("<invoke", &["name"], input).map(|(rest, found)| (rest, found.0)),
                Ok((">", want))
            );
        }
        assert!(naming("<invoke", &["name"], "<invokes name=f>").is_err());
        assert!(naming("<invoke", &["name"], "<invoke id=f>").is_err());
    }
}
