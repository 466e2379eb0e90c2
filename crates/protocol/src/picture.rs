//! What the bytes of a picture say: its format and its size. Pure.
//!
//! Providers compare the media type that a request names with the bytes, and refuse the whole request where they differ
//! (`the image was specified using the image/jpeg media type, but the image appears to be a image/png image`, Anthropic). What a
//! conversation holds once comes again in every turn.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How much base64 is read to find the format, in characters.
const FORMAT_CHARS: usize = 64;
/// How much base64 is read to find the size: a JPEG has it behind its other segments.
const SIZE_CHARS: usize = 128 << 10;
/// How much of both ends of a text must be base64, in characters.
const CHECKED_CHARS: usize = 1024;
/// Fewer bytes than that may be anything.
const LEAST_TEXT: usize = 12;

/// Reads base64 whether it is padded or not, and whatever its last bits are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The formats that providers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG, in any container.
    Jpeg,
    /// GIF 87a and 89a.
    Gif,
    /// WebP.
    Webp,
}

/// What is known about a picture that was given inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Its format, from its first bytes.
    pub format: PictureFormat,
    /// Its width and height in pixels, where they stand near its beginning.
    pub size: Option<(u32, u32)>,
    /// About how many bytes it has.
    pub bytes: usize,
}

/// Why nobody can read a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFault {
    /// There are no bytes.
    Empty,
    /// What should be base64 is not.
    NotBase64,
    /// The bytes are a text, such as a page that says why there is no picture.
    Text,
}

/// What is to be done with the data URL of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureCheck {
    /// It stays as it is: it is right, or nobody here can say.
    Right,
    /// The same picture, under the type that its bytes show.
    Renamed(String),
    /// No provider could read it.
    Broken(PictureFault),
}

impl PictureFormat {
    /// The format that the first bytes of a file show.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
        if bytes.starts_with(b"\x89PNG") {
            Some(Self::Png)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(Self::Gif)
        } else {
            is_webp.then_some(Self::Webp)
        }
    }

    /// Such as `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }
}

impl Picture {
    /// What the beginning of a `data:` URL shows. `None` for other URLs, and for formats that are not known.
    pub fn of_data_url(url: &str) -> Option<Self> {
        let (_, data) = parts(url)?;
        let head = decoded_head(data, SIZE_CHARS);
        let format = PictureFormat::of(&head)?;
        Some(Self { format, size: size(format, &head), bytes: data.len() / 4 * 3 })
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.media_type())?;
        if let Some((width, height)) = self.size {
            write!(f, ", {width} × {height} pixels")?;
        }
        write!(f, ", {} kB", self.bytes.div_ceil(1000))
    }
}

impl fmt::Display for PictureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::NotBase64 => "it is not base64",
            Self::Text => "its bytes are a text and no picture",
        })
    }
}

/// Holds the data URL of a picture against its bytes. Other URLs are right. Reads the two ends, and looks over the rest for blanks
/// and for the other alphabet of base64, which providers refuse.
pub fn check(url: &str) -> PictureCheck {
    let Some((media_type, data)) = parts(url) else { return PictureCheck::Right };
    if data.trim().is_empty() {
        return PictureCheck::Broken(PictureFault::Empty);
    }
    if !ends_are_base64(data.as_bytes()) {
        return PictureCheck::Broken(PictureFault::NotBase64);
    }
    let head = decoded_head(data, FORMAT_CHARS);
    let Some(format) = PictureFormat::of(&head) else {
        return if is_text(&head) { PictureCheck::Broken(PictureFault::Text) } else { PictureCheck::Right };
    };
    let clean = clean(data);
    if media_type == format.media_type() && matches!(clean, Cow::Borrowed(_)) {
        return PictureCheck::Right;
    }
    PictureCheck::Renamed(format!("data:{};base64,{clean}", format.media_type()))
}

/// The media type and the base64 of `data:<media type>[;…];base64,<data>`.
fn parts(url: &str) -> Option<(&str, &str)> {
    let is_data = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let (head, data) = url.get(5..).filter(|_| is_data)?.split_once(',')?;
    let (kind, encoding) = head.rsplit_once(';')?;
    encoding.trim().eq_ignore_ascii_case("base64").then(|| (kind.split(';').next().unwrap_or(kind), data))
}

/// The first bytes. Blanks are passed over, and both alphabets are read.
fn decoded_head(data: &str, chars: usize) -> Vec<u8> {
    let head = data.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').take(chars);
    let mut head: Vec<u8> = head.map(standard).collect();
    if head.len() % 4 == 1 {
        head.pop();
    }
    BASE64.decode(head).unwrap_or_default()
}

/// A character of the URL-safe alphabet as one of the usual alphabet.
fn standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    }
}

fn ends_are_base64(data: &[u8]) -> bool {
    let fits = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
            || byte.is_ascii_whitespace()
    };
    let tail = data.len().saturating_sub(CHECKED_CHARS);
    data.iter().take(CHECKED_CHARS).chain(data.get(tail..).unwrap_or_default()).all(fits)
}

/// The base64 without blanks and in the usual alphabet.
fn clean(data: &str) -> Cow<'_, str> {
    let bytes = data.as_bytes();
    if memchr::memchr2(b'-', b'_', bytes).is_none() && memchr::memchr3(b' ', b'\n', b'\r', bytes).is_none() {
        return Cow::Borrowed(data);
    }
    let clean =
        data.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| char::from(standard(byte)));
    Cow::Owned(clean.collect())
}

/// Words, and neither a drawing nor a document that begins with words.
fn is_text(head: &[u8]) -> bool {
    let text = match str::from_utf8(head) {
        Ok(text) => text,
        // A character that is cut by the end.
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let begins = text.trim_start().to_ascii_lowercase();
    let may_be_read = ["<svg", "<?xml", "%pdf", "%!ps"].iter().any(|start| begins.starts_with(start));
    let is_printable = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    text.len() >= LEAST_TEXT && text.chars().all(is_printable) && !may_be_read
}

/// Width and height in pixels.
fn size(format: PictureFormat, head: &[u8]) -> Option<(u32, u32)> {
    let big = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let little = |at: usize| Some(u32::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
    match format {
        PictureFormat::Png => Some((big(16)?, big(20)?)),
        PictureFormat::Gif => Some((little(6)?, little(8)?)),
        PictureFormat::Jpeg => jpeg_size(head),
        PictureFormat::Webp => match head.get(12..16)? {
            b"VP8 " => Some((little(26)? & 0x3fff, little(28)? & 0x3fff)),
            b"VP8L" => {
                let bits = u32::from_le_bytes(head.get(21..25)?.try_into().ok()?);
                Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
            }
            b"VP8X" => {
                let three = |at: usize| Some(little(at)? | u32::from(*head.get(at + 2)?) << 16);
                Some((three(24)? + 1, three(27)? + 1))
            }
            _ => None,
        },
    }
}

/// The size stands in the first start-of-frame segment.
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1).filter(|_| bytes.get(at) == Some(&0xff))?;
        let short = |at: usize| Some(u32::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
        match marker {
            // A fill byte.
            0xff => at += 1,
            // Segments without a length.
            0x01 | 0xd0..=0xd8 => at += 2,
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some((short(at + 7)?, short(at + 5)?));
            }
            _ => at += 2 + usize::try_from(short(at + 2)?).ok()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const PNG: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    fn url(kind: &str, bytes: &[u8]) -> String {
        format!("data:{kind};base64,{}", PADDED.encode(bytes))
    }

    fn samples() -> [(PictureFormat, Vec<u8>, (u32, u32)); 6] {
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc4\0\x03a\xff\xc2\0\x11\x08\x01\x02\x03\x04".to_vec();
        [
            (PictureFormat::Png, PADDED.decode(PNG).expect("base64"), (1, 1)),
            (PictureFormat::Jpeg, jpeg, (0x304, 0x102)),
            (PictureFormat::Gif, b"GIF89a\x02\x01\x03\0aa".to_vec(), (0x102, 3)),
            (
                PictureFormat::Webp,
                b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x05\x40\x06\0".to_vec(),
                (5, 6),
            ),
            (PictureFormat::Webp, b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x04\x40\x01\0".to_vec(), (5, 6)),
            (PictureFormat::Webp, b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x04\0\0\x05\0\0".to_vec(), (5, 6)),
        ]
    }

    #[test]
    fn the_bytes_say_the_format_and_the_size() {
        for (format, bytes, size) in samples() {
            let picture = Picture::of_data_url(&url("x/y", &bytes)).expect("a picture");
            assert_eq!((picture.format, picture.size), (format, Some(size)), "{picture}");
            assert_eq!(check(&url(format.media_type(), &bytes)), PictureCheck::Right);
            for wrong in ["image/x", "image/jpg", "application/octet-stream", "", "image/tiff;charset=x"] {
                let renamed = PictureCheck::Renamed(url(format.media_type(), &bytes));
                assert_eq!(check(&url(wrong, &bytes)), renamed, "{wrong}");
            }
        }
        assert_eq!(
            Picture::of_data_url(&url("", &samples()[0].1)).map(|picture| picture.to_string()).as_deref(),
            Some("image/png, 1 × 1 pixels, 1 kB")
        );
    }

    #[test]
    fn blanks_and_the_other_alphabet_are_mended() {
        let bytes = b"\x89PNG\xff\xff\xfe\xfb\xef\xbe";
        let wrapped = format!("data:image/png;base64,{}\r\n{}", "iVBO", "R///\n/vvv vg==");
        let safe = format!("DATA:image/png;BASE64,{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(check(&wrapped), PictureCheck::Renamed(url("image/png", bytes)));
        let unpadded = url("image/png", bytes).trim_end_matches('=').to_owned();
        assert_eq!(check(&safe), PictureCheck::Renamed(unpadded));
    }

    #[test]
    fn what_nobody_can_read_is_known() {
        let cases = [
            ("data:image/png;base64,".to_owned(), PictureFault::Empty),
            ("data:image/png;base64,  \n".to_owned(), PictureFault::Empty),
            ("data:image/png;base64,iVBO{}Rw0K".to_owned(), PictureFault::NotBase64),
            ("data:image/png;base64,iVBORw0K\u{2026}".to_owned(), PictureFault::NotBase64),
            (url("image/png", b"<!DOCTYPE html><html>"), PictureFault::Text),
            (
                url("image/png", "żółw w środku lasu, i nic więcej tam nie ma, bo nie".as_bytes()),
                PictureFault::Text,
            ),
        ];
        for (url, fault) in cases {
            assert_eq!(check(&url), PictureCheck::Broken(fault), "{url}");
        }
    }

    #[test]
    fn what_is_not_known_stays() {
        let svg = url("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
        let bmp = url("image/bmp", b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0");
        for url in [
            "https://x/y.png",
            "data:image/svg+xml,%3Csvg%3E",
            "data:image/png;base64,AA==",
            "file-1",
            "data:",
            "",
            "dä",
            &svg,
            &bmp,
            "data:image/png;base64,iVBORw0K",
        ] {
            assert_eq!(check(url), PictureCheck::Right, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for start in ["", "data:image/png;base64,"] {
                check(&format!("{start}{text}"));
            }
            for (format, head, _) in samples() {
                let url = url("image/x", &[head, bytes.clone()].concat());
                let PictureCheck::Renamed(renamed) = check(&url) else { panic!("{url}") };
                prop_assert_eq!(check(&renamed), PictureCheck::Right);
                prop_assert_eq!(Picture::of_data_url(&renamed).map(|picture| picture.format), Some(format));
            }
        }
    }
}
