//! A client that costs little: raw HTTP over loopback, one request after the other or many streams at once.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The end of a chunked body.
const END: &[u8] = b"0\r\n\r\n";
/// The longest a single read may take.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// `POST` with a JSON body, ready to be sent again and again on one connection.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: text/event-stream\r\noriginator: codex_bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What one request took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// To the first byte behind the head.
    pub(crate) first: Duration,
    pub(crate) all: Duration,
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
    }

    /// Reads one answer with a chunked body to its end.
    pub(crate) fn read(&mut self, begun: Instant) -> io::Result<Took> {
        let mut tail: Vec<u8> = Vec::new();
        let mut head = Vec::new();
        let mut first = None;
        loop {
            let length = self.stream.read(&mut self.buffer)?;
            let bytes = self.buffer.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off"));
            }
            if first.is_none() {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                if !head.starts_with(b"HTTP/1.1 200") {
                    return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
                }
                if head.len() == end + 4 {
                    continue;
                }
                first = Some(begun.elapsed());
            }
            tail.extend_from_slice(bytes.get(length.saturating_sub(END.len())..).unwrap_or_default());
            tail.drain(..tail.len().saturating_sub(END.len()));
            if tail == END {
                let all = begun.elapsed();
                return Ok(Took { first: first.unwrap_or(all), all });
            }
        }
    }

    /// Sends and reads.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Took> {
        let begun = Instant::now();
        self.send(request)?;
        self.read(begun)
    }
}

/// Asks `count` times on each of `connections` connections; all that was taken.
pub(crate) fn many(address: &str, request: &[u8], connections: usize, count: usize) -> io::Result<Vec<Took>> {
    let results = std::thread::scope(|scope| {
        let ask = || -> io::Result<Vec<Took>> {
            let mut client = Client::connect(address)?;
            (0..count).map(|_| client.ask(request)).collect()
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
            .collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result?);
    }
    Ok(all)
}

/// Opens `count` streams at once and reads them all to their ends, on two threads. Returns how long each took, and calls
/// `halfway` once all are open.
pub(crate) fn streams(
    address: &str,
    request: &[u8],
    count: usize,
    halfway: impl FnOnce(),
) -> io::Result<Vec<Duration>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = Client::connect(address)?;
        let begun = Instant::now();
        client.send(request)?;
        clients.push((client, begun));
    }
    std::thread::sleep(Duration::from_secs(1));
    halfway();
    let mut times = Vec::with_capacity(count);
    for (mut client, begun) in clients {
        client.read(begun)?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// The middle one of these times, in order; the upper one of two, and zero where there are none.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
