//! What the words before a place say.

/// The longest word whose full stop may be one of an abbreviation.
const MAX_ABBREVIATION: usize = 4;
/// Abbreviations with a full stop.
const ABBREVIATIONS: [&str; 16] =
    ["etc", "vs", "cf", "bzw", "usw", "eg", "ie", "ex", "resp", "ca", "vgl", "no", "nr", "fig", "sec", "see"];
/// Words before a colon that say that something is shown.
const SHOWS: [&str; 24] = [
    "contains",
    "contained",
    "says",
    "said",
    "states",
    "stated",
    "wrote",
    "writes",
    "reads",
    "quotes",
    "quoted",
    "example",
    "examples",
    "instance",
    "e.g.",
    "looks like this",
    "look like this",
    "enthält",
    "steht",
    "lautet",
    "schreibt",
    "beispiel",
    "contiene",
    "contient",
];
/// The same in languages without blanks between words, and with another colon.
const SHOWS_WHOLE: [&str; 8] = ["例如", "示例", "比如", "写着", "写道", "文件内容", "内容", "例"];
/// Words of somebody who is about to do something: what they are about to do is no example.
const ANNOUNCES: [&str; 8] =
    ["let me", "let's", "i'll", "i’ll", "i will", "i am going", "i'm going", "lass mich"];
/// Words that say that something must not be done, or is not done yet.
const FORBIDS: [&str; 36] = [
    "never run",
    "never execute",
    "never call",
    "will never",
    "would never",
    "i will not",
    "i won't",
    "i won’t",
    "i must not",
    "i should not",
    "i shouldn't",
    "i refuse",
    "i am not going to",
    "i'm not going to",
    "not run this",
    "not execute this",
    "not call this",
    "not run the following",
    "not execute the following",
    "n't run this",
    "n't execute this",
    "n't run the following",
    "n't execute the following",
    "not do this",
    "n't do this",
    "do you want me to",
    "would you like me to",
    "should i run",
    "shall i run",
    "may i run",
    "ich werde niemals",
    "ich werde nie ",
    "nicht ausführen",
    "führe nicht",
    "soll ich",
    "möchtest du, dass",
];

/// The line behind thoughts that end on it.
pub(super) fn behind_thoughts(line: &str) -> &str {
    if !line.contains("</think") {
        return line;
    }
    ["</think>", "</thinking>"]
        .into_iter()
        .fold(line, |line, tag| line.rsplit_once(tag).map_or(line, |(_, rest)| rest))
}

/// Whether a line so far is whole sentences, so that something new begins here. With a token directly behind it a colon ends one too.
pub(super) fn ends(line: &str, token: bool) -> bool {
    let begins = line.trim_start();
    let body = line.trim_end();
    if line.len() - body.len() > 1 || !begins.starts_with(char::is_alphabetic) {
        return false;
    }
    let Some(last) = body.chars().next_back() else { return false };
    let before = &body[..body.len() - last.len_utf8()];
    let in_words = before.ends_with(|c: char| c.is_alphabetic() || matches!(c, ')' | '`' | '.' | '\u{fffc}'));
    match last {
        '。' | '！' | '…' | '\u{6d4}' | '।' => true,
        '!' => in_words,
        '.' => in_words && !is_abbreviation(before),
        ':' => token && in_words && body.len() == line.len() && begins.contains(' '),
        _ => false,
    }
}

fn is_abbreviation(body: &str) -> bool {
    let word = body.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let lower = word.to_lowercase();
    (word.chars().count() < 2 && word != "\u{fffc}")
        || (word.len() <= MAX_ABBREVIATION
            && (word.contains('.') && !word.ends_with('.') || ABBREVIATIONS.contains(&lower.as_str())))
}

/// Whether a line says that what follows is only shown, or must not be done. Only wordings that leave no doubt.
pub(super) fn says_no(line: &str) -> bool {
    let line = line.trim_end();
    let line = line.trim_end_matches(['*', '_', '`']);
    let lower = line.to_lowercase();
    if FORBIDS.iter().any(|words| lower.contains(words)) {
        return true;
    }
    let Some(body) = lower.strip_suffix([':', '：']) else { return false };
    if ANNOUNCES.iter().any(|words| lower.contains(words)) {
        return false;
    }
    let body = body.trim_end_matches(['*', '_', '`', ' ']);
    let is_word =
        |words: &&str| body.strip_suffix(*words).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric));
    SHOWS.iter().any(is_word) || SHOWS_WHOLE.iter().any(|words| body.ends_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_or_shows_is_known_and_what_announces_is_not() {
        for line in [
            "I will never run the following:",
            "Do you want me to run this?",
            "The file contains:",
            "For **example**:",
            "You should not do this:",
            "Die Datei enthält:",
            "例如：",
            "A call looks like this:",
        ] {
            assert!(says_no(line), "{line}");
        }
        for line in [
            "I will look at the file:",
            "Let me see what it is.",
            "Now the tests.",
            "",
            "I run it as follows:",
            "让我看看：",
            "The tests don't run; let me see why:",
            "I'll see what it contains:",
        ] {
            assert!(!says_no(line), "{line}");
        }
    }

    #[test]
    fn a_sentence_ends_with_a_full_stop_behind_a_word() {
        for line in ["Look.", "Two looks. ", "Read it!", "看。", "I use `x`."] {
            assert!(ends(line, false), "{line}");
        }
        for line in [
            "1.",
            "1. ",
            "e.g. ",
            "Look",
            "Look at this: ",
            "Look.  ",
            "a.",
            "file.md:12:",
            "- Look.",
            "| Look.",
            "etc. ",
        ] {
            assert!(!ends(line, true), "{line}");
        }
        assert!(ends("Let me look:", true) && !ends("Let me look:", false) && !ends("README.md:", true));
    }
}
