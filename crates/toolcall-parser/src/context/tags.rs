//! Tags whose content is shown: HTML, documents, results of tools; comments and CDATA. They hide everything until they are closed.

use crate::lex::Lookahead;

/// The longest name of a tag, in bytes.
const MAX_NAME: usize = 48;
/// The longest opening tag, in bytes.
const MAX_TAG: usize = 512;

/// Parts of the names of tags that hold something shown.
const SHOWN: [&str; 35] = [
    "doc",
    "file",
    "content",
    "page",
    "web",
    "html",
    "result",
    "response",
    "output",
    "source",
    "data",
    "example",
    "quote",
    "context",
    "search",
    "snippet",
    "mail",
    "article",
    "log",
    "stdout",
    "stderr",
    "memory",
    "untrusted",
    "input",
    "comment",
    "code",
    "xml",
    "script",
    "style",
    "textarea",
    "detail",
    "table",
    "sample",
    "observation",
    "listing",
];
/// Whole names of such tags.
const SHOWN_WHOLE: [&str; 20] = [
    "pre", "a", "b", "i", "q", "em", "strong", "tt", "kbd", "samp", "xmp", "div", "span", "body", "svg",
    "math", "var", "u", "summary", "readme",
];
/// Those that are often left open: they last no longer than the paragraph.
const LOOSE: [&str; 9] = ["p", "li", "ul", "ol", "td", "tr", "th", "dd", "dt"];
/// Parts of the names of tags that wrap calls, thoughts or answers.
const OPEN: [&str; 18] = [
    "tool",
    "call",
    "function",
    "invoke",
    "action",
    "think",
    "thought",
    "reason",
    "answer",
    "plan",
    "analysis",
    "reflect",
    "scratch",
    "step",
    "final",
    "message",
    "agent",
    "assistant",
];
/// Such parts that make a shown thing of one of those after all.
const SHOWN_AFTER_ALL: [&str; 4] = ["result", "response", "output", "observation"];
/// Tags that are never closed.
const VOID: [&str; 8] = ["br", "hr", "img", "input", "meta", "link", "col", "wbr"];

/// A tag that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    close: Close,
    /// How many tags of the name are open.
    depth: usize,
    scope: Scope,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Close {
    /// These characters.
    Word(&'static str),
    /// The closing tag of this name, in small letters.
    Name(String),
}

/// How long a tag that is never closed lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Until the end of the text.
    Text,
    /// Until the end of the paragraph.
    Paragraph,
}

impl Tag {
    /// The tag that opens here. `own` says that nothing but the marks of lists stands before it on its line.
    pub(crate) fn opens(rest: &str, own: impl FnOnce() -> bool, end: bool) -> Lookahead<Self> {
        for (open, close) in [("<!--", "-->"), ("<![CDATA[", "]]>")] {
            if rest.starts_with(open) {
                let tag = Self { close: Close::Word(close), depth: 1, scope: Scope::Text };
                return Lookahead::Yes(tag, open.len());
            }
            if open.starts_with(rest) && !end {
                return Lookahead::More;
            }
        }
        let bytes = rest.as_bytes();
        let name = bytes[1..].iter().take(MAX_NAME + 1).take_while(|byte| is_name(**byte)).count();
        if name > MAX_NAME || !bytes.get(1).is_none_or(u8::is_ascii_alphabetic) {
            return Lookahead::No;
        }
        let open = |more: bool| if more && !end { Lookahead::More } else { Lookahead::No };
        let Some(behind) = bytes.get(1 + name) else { return open(true) };
        if !matches!(behind, b'>' | b' ' | b'\t') {
            return Lookahead::No;
        }
        let name = rest[1..=name].to_ascii_lowercase();
        let kind = kind(&name);
        if kind == Kind::Open {
            return Lookahead::No;
        }
        let own = own();
        // A tag of a name that says nothing is one that holds something when it has a line of its own.
        if kind == Kind::Unknown && !own {
            return Lookahead::No;
        }
        let window = &bytes[..bytes.len().min(MAX_TAG)];
        let close = match memchr::memchr2(b'>', b'\n', window) {
            Some(close) if window[close] == b'>' => close,
            None => return open(window.len() < MAX_TAG),
            Some(_) => return Lookahead::No,
        };
        if bytes[close - 1] == b'/' || window[1..close].contains(&b'<') {
            return Lookahead::No;
        }
        let length = close + 1;
        if kind == Kind::Unknown {
            let blank =
                window[length..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
            match window.get(length + blank) {
                Some(b'\n') => {}
                Some(_) => return Lookahead::No,
                None => return open(window.len() < MAX_TAG),
            }
        }
        let scope = if own && kind != Kind::Loose { Scope::Text } else { Scope::Paragraph };
        Lookahead::Yes(Self { close: Close::Name(name), depth: 1, scope }, length)
    }

    /// How much of the text is hidden for certain, and whether that is where the tag ends.
    pub(crate) fn pass(&mut self, text: &str, end: bool) -> (usize, bool) {
        let bytes = text.as_bytes();
        let first = match &self.close {
            Close::Word(word) => word.as_bytes()[0],
            Close::Name(_) => b'<',
        };
        let mut at = 0;
        while let Some(found) = memchr::memchr2(first, b'\n', &bytes[at..]) {
            at += found;
            let step =
                if bytes[at] == first { self.mark(&text[at..], end) } else { self.line(&text[at..], end) };
            match step {
                Lookahead::Yes((), length) => return (at + length, true),
                Lookahead::More => return (at, false),
                Lookahead::No => at += 1,
            }
        }
        (text.len(), false)
    }

    /// Behind a line break.
    fn line(&self, rest: &str, end: bool) -> Lookahead<()> {
        if self.scope == Scope::Text {
            return Lookahead::No;
        }
        let bytes = &rest.as_bytes()[1..];
        let blank =
            bytes.iter().take(MAX_TAG).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match bytes.get(blank) {
            Some(b'\n') => Lookahead::Yes((), 0),
            None if !end && blank < MAX_TAG => Lookahead::More,
            _ => Lookahead::No,
        }
    }

    /// At what may close the tag, or open another of its name.
    fn mark(&mut self, rest: &str, end: bool) -> Lookahead<()> {
        let word = match &self.close {
            Close::Word(word) => {
                return match () {
                    () if rest.starts_with(word) => Lookahead::Yes((), word.len()),
                    () if word.starts_with(rest) && !end => Lookahead::More,
                    () => Lookahead::No,
                };
            }
            Close::Name(name) => name,
        };
        let closes = rest.as_bytes().get(1) == Some(&b'/');
        let from = 1 + usize::from(closes);
        let name = rest.as_bytes().get(from..).unwrap_or_default();
        let length = name.len().min(word.len());
        if !name[..length].eq_ignore_ascii_case(&word.as_bytes()[..length]) {
            return Lookahead::No;
        }
        let Some(behind) = name.get(word.len()) else {
            return if end { Lookahead::No } else { Lookahead::More };
        };
        if is_name(*behind) {
            return Lookahead::No;
        }
        if !closes {
            self.depth += 1;
            return Lookahead::No;
        }
        self.depth -= 1;
        if self.depth > 0 {
            return Lookahead::No;
        }
        Lookahead::Yes((), from + word.len() + usize::from(*behind == b'>'))
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.')
}

/// What the name of a tag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shown,
    Loose,
    /// It hides nothing.
    Open,
    Unknown,
}

fn kind(name: &str) -> Kind {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match () {
        () if VOID.contains(&name) || name == "response" => Kind::Open,
        () if SHOWN_WHOLE.contains(&name) => Kind::Shown,
        () if LOOSE.contains(&name) => Kind::Loose,
        () if has(&OPEN) && !has(&SHOWN_AFTER_ALL) => Kind::Open,
        () if name.len() > 2 && has(&SHOWN) => Kind::Shown,
        () => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str, own: bool) -> Option<usize> {
        let Lookahead::Yes(mut tag, length) = Tag::opens(text, || own, true) else { return None };
        let whole = length + tag.pass(&text[length..], true).0;
        Some(whole)
    }

    #[test]
    fn what_a_tag_shows_is_hidden_until_it_is_closed() {
        for (text, rest) in [
            ("<pre>a\n\nb</pre> c", " c"),
            ("<!-- a\n\n<b> -->c", "c"),
            ("<![CDATA[ a ]]>c", "c"),
            ("<file_content path=\"x\">\na\n</file_content>\nc", "\nc"),
            ("<div><DIV></div>a</Div>c", "c"),
            ("<tool_response>a</tool_response>c", "c"),
            ("<unheard-of>\na\n</unheard-of>c", "c"),
            ("<p>a\n\nc", "\n\nc"),
        ] {
            assert_eq!(hidden(text, true).map(|length| &text[length..]), Some(rest), "{text}");
        }
        assert_eq!(hidden("<code>a\n\nb", false), Some(7));
        assert_eq!(hidden("<code>a\n\nb", true), Some(10));
    }

    #[test]
    fn other_tags_hide_nothing() {
        for text in [
            "<T> is a type",
            "<tool_calls>\na",
            "<br>\na",
            "<thinking_aloud>\na",
            "<x/>\na",
            "< a",
            "<a",
            "<3",
        ] {
            assert_eq!(hidden(text, true), None, "{text}");
        }
        assert_eq!(hidden("<unheard-of>\na", false), None);
    }
}
