//! How many tokens a request has, about. Pure, and without any model's vocabulary.
//!
//! An estimate for clients that ask before they send (`countTokens`, `count_tokens`, `input_tokens`) and for upstreams that do not
//! count. Text is weighed by script, because a token is about four letters of English and about one sign of Chinese; the
//! weights are those of the vocabularies of today's large models, which agree within a fifth or so. Pictures and files are
//! never weighed by their base64.

use latimer_protocol::turn::{Content, Format, Item, TurnRequest};

/// What a message costs besides its words, in tokens: who speaks, where it ends.
const MESSAGE: u64 = 4;
/// What a call or its output costs besides its words.
const CALL: u64 = 8;
/// What the declaration of a tool costs besides its words.
const TOOL: u64 = 10;
/// A picture: providers count from 258 (one tile of Gemini) to 1,600 (the largest of Claude).
const PICTURE: u64 = 1000;
/// A picture that was asked to be looked at coarsely.
const COARSE_PICTURE: u64 = 85;
/// Bytes of a PDF for each token: a page is about 100 kB and 1,500 tokens.
const PDF_BYTES: u64 = 64;
/// A file costs no less than a page.
const FILE: u64 = 258;

/// The tokens of everything the model would read: messages, calls, tools and the shape of the answer.
pub fn count(turn: &TurnRequest) -> u64 {
    let items: u64 = turn.items.iter().map(item).sum();
    let tools: u64 = turn
        .tools
        .iter()
        .map(|tool| {
            let schema = tool.parameters.as_ref().map_or(0, |schema| of_text(schema.get()));
            TOOL + of_text(&tool.name) + tool.description.as_deref().map_or(0, of_text) + schema
        })
        .sum();
    let format = match &turn.format {
        Format::JsonSchema { schema, .. } => of_text(schema.get()),
        Format::Text | Format::JsonObject => 0,
    };
    items + tools + format
}

/// The tokens of a text.
pub fn of_text(text: &str) -> u64 {
    let hundredths: u64 = text.bytes().map(|byte| u64::from(WEIGHTS[usize::from(byte)])).sum();
    hundredths.div_ceil(100)
}

fn item(item: &Item) -> u64 {
    match item {
        Item::Message(message) => MESSAGE + contents(&message.content),
        // Sealed state has no size that a client could know.
        Item::Reasoning(thoughts) => of_text(&thoughts.text),
        Item::Call(call) => CALL + of_text(&call.name) + of_text(&call.arguments),
        Item::Output(output) => CALL + contents(&output.content),
    }
}

fn contents(contents: &[Content]) -> u64 {
    contents
        .iter()
        .map(|content| match content {
            Content::Text(text) | Content::Refusal(text) => of_text(text),
            Content::Image(image) if image.detail.as_deref() == Some("low") => COARSE_PICTURE,
            Content::Image(_) => PICTURE,
            Content::File { data_url, .. } => file(data_url),
        })
        .sum()
}

/// A file by the size of its data: text at four bytes a token, everything else as a PDF.
fn file(data_url: &str) -> u64 {
    let (head, data) = data_url.split_once(',').unwrap_or(("", data_url));
    let bytes = data.len() as u64 / 4 * 3;
    let is_text = head.starts_with("data:text/") || head.starts_with("data:application/json");
    (bytes / if is_text { 4 } else { PDF_BYTES }).max(if is_text { 0 } else { FILE })
}

/// Hundredths of a token for each byte of UTF-8. The first byte of a sign tells its script and weighs for the whole sign.
const WEIGHTS: [u8; 256] = weights();

const fn weights() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => 23,
            // Mostly part of the word behind it.
            b' ' => 10,
            b'0'..=b'9' => 40,
            b'\n' | b'\t' => 30,
            b'\r' => 0,
            // Punctuation stands alone, or two signs together.
            0x20..=0x7e => 45,
            0x00..=0x7f => 100,
            // Not the first byte of a sign.
            0x80..=0xbf => 0,
            // Latin with accents.
            0xc0..=0xcb => 60,
            // Greek and Cyrillic.
            0xcc..=0xd3 => 40,
            // Armenian, Hebrew, Arabic and their neighbours.
            0xd4..=0xdf => 50,
            // The scripts of India, Thai and their neighbours.
            0xe0..=0xe1 => 55,
            // Dashes, quotes, arrows, lines of boxes.
            0xe2 => 70,
            // Chinese, Japanese, Korean.
            0xe3..=0xed => 80,
            0xee..=0xef => 90,
            // Emoji and what is rare.
            _ => 200,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{Image, Message, Role};

    fn between(text: &str, least: u64, most: u64) {
        let count = of_text(text);
        assert!((least..=most).contains(&count), "{count} tokens, wanted {least} to {most}: {text}");
    }

    #[test]
    fn each_language_has_its_measure() {
        // The bounds hold the counts of the vocabularies cl100k, o200k, Gemini's and Llama 3's, where they are known.
        between("The quick brown fox jumps over the lazy dog.", 9, 12);
        between("Der schnelle braune Fuchs springt über den faulen Hund.", 10, 17);
        between("Быстрая коричневая лиса прыгает через ленивую собаку.", 13, 26);
        between("敏捷的棕色狐狸跳过了懒狗。", 9, 16);
        between("素早い茶色の狐がのろまな犬を飛び越える。", 13, 24);
        between("빠른 갈색 여우가 게으른 개를 뛰어넘는다.", 12, 24);
        between("fn main() { println!(\"{}\", 1 + 2); }", 12, 20);
        between("{\"command\":\"ls -la\",\"timeout\":1000}", 10, 18);
        between("🦊🐕", 2, 8);
        assert_eq!(of_text(""), 0);
    }

    #[test]
    fn pictures_and_files_are_not_weighed_by_their_letters() {
        let turn = |content: Content| TurnRequest {
            items: vec![Item::Message(Message { role: Role::User, content: vec![content] })],
            ..TurnRequest::default()
        };
        let picture = |detail: Option<&str>| {
            let url = format!("data:image/png;base64,{}", "A".repeat(4_000_000));
            turn(Content::Image(Image { url, detail: detail.map(str::to_owned) }))
        };
        assert_eq!(count(&picture(None)), MESSAGE + PICTURE);
        assert_eq!(count(&picture(Some("low"))), MESSAGE + COARSE_PICTURE);
        let file = |kind: &str, size| {
            let data_url = format!("data:{kind};base64,{}", "A".repeat(size));
            count(&turn(Content::File { name: None, data_url }))
        };
        assert_eq!(file("application/pdf", 4), MESSAGE + FILE);
        assert_eq!(file("application/pdf", 400_000), MESSAGE + 300_000 / PDF_BYTES);
        assert_eq!(file("text/plain", 4000), MESSAGE + 750);
    }

    proptest::proptest! {
        #[test]
        fn more_text_is_never_fewer_tokens(a in ".{0,40}", b in ".{0,40}") {
            let both = of_text(&format!("{a}{b}"));
            proptest::prop_assert!(both >= of_text(&a).max(of_text(&b)));
            proptest::prop_assert!(both <= of_text(&a) + of_text(&b));
        }
    }
}
