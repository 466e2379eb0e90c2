//! Just enough of HTTP/1.1 to be asked: the head of a request.

/// The largest head.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The head of one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// Bytes up to and with the empty line.
    pub(super) len: usize,
}

impl Head {
    /// The head at the beginning of `bytes`: `Ok(None)` when it is not whole yet, `Err` when it is none.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, ()> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() > MAX_HEAD { Err(()) } else { Ok(None) };
        };
        let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or(())?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
            return Err(());
        };
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<Option<Vec<_>>>().ok_or(())?;
        Ok(Some(Self { method: method.to_owned(), path: path.to_owned(), headers, len: end + 4 }))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The length of the body that follows. Chunked requests are not understood.
    pub(super) fn body_len(&self) -> Result<usize, ()> {
        if self.header("transfer-encoding").is_some() {
            return Err(());
        }
        self.header("content-length").map_or(Ok(0), |length| length.parse().map_err(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let bytes = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
        let head = Head::read(bytes).expect("a head").expect("whole");
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/v1/chat/completions"));
        assert_eq!((head.header("host"), head.body_len(), head.len), (Some("a"), Ok(2), bytes.len() - 2));
        assert_eq!(Head::read(&bytes[..20]), Ok(None));
        assert_eq!(Head::read(b"\x16\x03\x01\r\n\r\n"), Err(()));
    }
}
