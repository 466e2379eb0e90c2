//! Percent encoding in parts of URLs: text from outside names what it names, and never leads to another path, query or fragment of the
//! host. Pure.

use std::fmt::Write as _;

/// A text without its percent encoding; as it is where that gives no text.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(byte) = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// One segment of a path (RFC 3986, 3.3): everything but unreserved characters is escaped, `/` too.
pub(crate) fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A dot alone names a folder, escaped or not.
    match out.as_str() {
        "." => "%2E%20".to_owned(),
        ".." => "%2E%2E%20".to_owned(),
        _ => out,
    }
}

/// A name with segments of its own, as `operations/x`: each is escaped.
pub(crate) fn path_segments(text: &str) -> String {
    text.split('/').map(path_segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_escapes_are_read() {
        for (text, want) in [
            ("a%20b%2Fc", "a b/c"),
            ("100%", "100%"),
            ("%zz%+1", "%zz%+1"),
            ("%ff", "%ff"),
            ("ż%C3%B3", "żó"),
        ] {
            assert_eq!(decoded(text), want);
        }
    }

    #[test]
    fn nothing_leads_elsewhere() {
        for (text, segment, segments) in [
            ("gemini-2.5-pro", "gemini-2.5-pro", "gemini-2.5-pro"),
            ("operations/a.b_c~d", "operations%2Fa.b_c~d", "operations/a.b_c~d"),
            ("m?x=1#y", "m%3Fx%3D1%23y", "m%3Fx%3D1%23y"),
            ("../../v1/evil", "..%2F..%2Fv1%2Fevil", "%2E%2E%20/%2E%2E%20/v1/evil"),
            ("m:other", "m%3Aother", "m%3Aother"),
            ("a%2fb", "a%252fb", "a%252fb"),
            ("mü\r\n", "m%C3%BC%0D%0A", "m%C3%BC%0D%0A"),
        ] {
            assert_eq!((path_segment(text).as_str(), path_segments(text).as_str()), (segment, segments));
        }
    }
}
