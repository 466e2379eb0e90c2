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

/// One of these fixed texts. Where one is the beginning of another, the longer one stands first.
pub(crate) fn any_of<'a>(words: &[&str], input: &'a str) -> LexResult<'a, ()> {
    let mut partial = None;
    for word in words {
        match tag::<&str, &'a str, nom::error::Error<&'a str>>(*word)(input) {
            // A longer word may still come.
            Ok(_) if partial.is_some() => break,
            Ok((rest, _)) => return Ok((rest, ())),
            Err(Err::Incomplete(needed)) => partial = Some(needed),
            Err(_) => {}
        }
    }
    Err(match partial {
        Some(needed) => Err::Incomplete(needed),
        None => Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Tag)),
    })
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

/// An attribute's value: in either quotes, or bare up to white space or the end of the tag.
pub(crate) fn quoted(input: &str) -> LexResult<'_, &str> {
    alt((
        delimited(char('"'), take_while_m_n(0, MAX_NAME, |c| c != '"' && c != '\n'), char('"')),
        delimited(char('\''), take_while_m_n(0, MAX_NAME, |c| c != '\'' && c != '\n'), char('\'')),
        take_while_m_n(1, MAX_NAME, |c: char| !is_space(c) && !matches!(c, '>' | '<' | '"' | '\'')),
    ))
    .parse(input)
}

/// A vertical bar, full-width or ASCII: some providers turn the one into the other.
pub(crate) fn bar(input: &str) -> LexResult<'_, ()> {
    value((), alt((tag("｜"), tag("|")))).parse(input)
}

/// The separator inside DeepSeek's words, U+2581 or what providers make of it.
pub(crate) fn low(input: &str) -> LexResult<'_, ()> {
    value((), alt((tag("▁"), tag("_"), tag(" "), tag("\\_")))).parse(input)
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
        assert_eq!(find(bar, "\u{ff5c}x", false), Lookahead::Yes((), 3));
    }
}
