//! How many tokens a request has, about. Pure, and without any model's vocabulary.
//!
//! An estimate for clients that ask before they send (`countTokens`, `count_tokens`, `input_tokens`) and for upstreams that do not
//! count. Text is weighed by script, because a token is about four letters of English and about one sign of Chinese; the
//! weights were measured against o200k, a vocabulary of today: prose, code and JSON come out within a fifth, the scripts of Asia within
//! a half. Pictures and files are never weighed by their base64.

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

/// From a byte to a byte, and the weight of each; later rows stand over earlier ones.
const RANGES: [(u8, u8, u8); 16] = [
    (0x00, 0x1f, 100),
    (b'\t', b'\n', 30),
    (b'\r', b'\r', 0),
    // Punctuation stands alone, or two signs together.
    (0x20, 0x7f, 40),
    // Mostly part of the word behind it.
    (b' ', b' ', 10),
    (b'0', b'9', 40),
    (b'A', b'Z', 24),
    (b'a', b'z', 24),
    // Latin with accents.
    (0xc0, 0xcb, 60),
    // Greek and Cyrillic.
    (0xcc, 0xd3, 32),
    // Armenian, Hebrew, Arabic and their neighbours.
    (0xd4, 0xdf, 42),
    // The scripts of India, Thai and their neighbours.
    (0xe0, 0xe1, 45),
    // Dashes, quotes, arrows, lines of boxes.
    (0xe2, 0xe2, 70),
    // Chinese, Japanese, Korean.
    (0xe3, 0xed, 70),
    (0xee, 0xef, 90),
    // Emoji and what is rare.
    (0xf0, 0xff, 200),
];

const fn weights() -> [u8; 256] {
    let mut table = [0; 256];
    let mut row = 0;
    while row < RANGES.len() {
        let (first, last, weight) = RANGES[row];
        let mut byte = first as usize;
        while byte <= last as usize {
            table[byte] = weight;
            byte += 1;
        }
        row += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{Image, Message, Role};

    #[test]
    fn each_language_has_its_measure() {
        // Each with its tokens in the vocabulary o200k.
        let cases = [
            ("The quick brown fox jumps over the lazy dog.", 10),
            (
                "Könnten Sie mir bitte erklären, wie diese Funktion arbeitet und warum der Test fehlschlägt?",
                22,
            ),
            (
                "Pouvez-vous m'expliquer comment cette fonction marche et pourquoi le test échoue à chaque exécution ?",
                21,
            ),
            ("Объясните, пожалуйста, как работает эта функция и почему тест не проходит.", 16),
            ("هل يمكنك أن تشرح لي كيف تعمل هذه الدالة ولماذا يفشل الاختبار؟", 18),
            ("क्या आप मुझे समझा सकते हैं कि यह फ़ंक्शन कैसे काम करता है और परीक्षण क्यों विफल होता है?", 25),
            ("请解释一下这个函数是如何工作的，以及为什么测试会失败。", 14),
            ("この関数がどのように動作し、なぜテストが失敗するのか説明してください。", 25),
            ("이 함수가 어떻게 작동하고 왜 테스트가 실패하는지 설명해 주세요.", 17),
            ("fn main() { println!(\"{}\", 1 + 2); }", 13),
            ("{\"command\":\"ls -la\",\"timeout\":1000}", 12),
            ("🦊🐕🎉✅", 8),
        ];
        for (text, tokens) in cases {
            let count = of_text(text);
            assert!(
                count * 3 >= tokens * 2 && count * 2 <= tokens * 3,
                "{count} for {tokens} tokens: {text}"
            );
        }
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
