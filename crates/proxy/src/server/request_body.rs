//! Reads a request body within its limits, plain or compressed.

use std::io::Read as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::http::refusal::Refusal;

/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Past this size in bytes, a body may not be more than [`MAX_RATIO`] times its compressed form.
const RATIO_MIN_BYTES: usize = 1 << 20;
/// The most a body may grow when decompressed, once it is large.
const MAX_RATIO: usize = 100;

/// The whole body, decompressed. `limit`, in bytes, holds before and after decompression.
///
/// # Errors
///
/// The content type is not JSON (415), the body is too large (413), too slow (408), incomplete or not what its content encoding says
/// (400).
pub(super) async fn read(headers: &HeaderMap, body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    check_type(headers)?;
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let bytes = tokio::time::timeout(BODY_TIMEOUT, collect(body, limit)).await.map_err(|_| {
        Refusal::invalid(408, "request_timeout")
            .message(format!("the request body did not arrive within {} s", BODY_TIMEOUT.as_secs()))
    })??;
    let encodings: Vec<&str> =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?").trim()).collect();
    match encodings.as_slice() {
        [] | ["" | "identity"] => Ok(bytes),
        [one] => decode(one, bytes, limit).await,
        _ => Err(bad_encoding("more than one content-encoding")),
    }
}

/// A JSON body needs a JSON content type: a form or plain text is what a web page can send without asking.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
    let media_type = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if media_type == "application/json" || media_type.ends_with("+json") {
        return Ok(());
    }
    let shown = if media_type.is_empty() { "none".to_owned() } else { format!("`{media_type}`") };
    Err(Refusal::invalid(415, "unsupported_media_type")
        .message(format!("the content-type must be application/json, and it is {shown}")))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut rest: Option<BytesMut> = None;
    let mut size = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Refusal::invalid(400, "incomplete_body")
                .message("the connection broke before the whole body had arrived")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > limit {
            return Err(too_large(limit));
        }
        match (&mut first, &mut rest) {
            (None, _) => first = Some(data),
            (Some(head), None) => {
                let mut joined = BytesMut::with_capacity((head.len() + data.len()).max(size + 64 * 1024));
                joined.extend_from_slice(head);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
            (Some(_), Some(joined)) => joined.extend_from_slice(&data),
        }
    }
    Ok(rest.map(BytesMut::freeze).or(first).unwrap_or_default())
}

async fn decode(encoding: &str, bytes: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    let encoding = encoding.to_ascii_lowercase();
    let work = move || inflate(&encoding, &bytes, limit);
    // Decompression is CPU work of unknown length: it must not hold up the streams of others.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Refusal::new(500, "server_error", "internal_error").message("the body could not be decompressed"))
    })
}

fn inflate(encoding: &str, bytes: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let max = limit.min(RATIO_MIN_BYTES.max(bytes.len().saturating_mul(MAX_RATIO)));
    let mut out = Vec::new();
    // One byte past the limit is enough to know that it is passed.
    let take = max as u64 + 1;
    let result = match encoding {
        "gzip" | "x-gzip" => flate2::read::MultiGzDecoder::new(bytes).take(take).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(bytes).take(take).read_to_end(&mut out),
        "zstd" => match ruzstd::decoding::StreamingDecoder::new(bytes) {
            Ok(decoder) => decoder.take(take).read_to_end(&mut out),
            Err(_) => return Err(bad_encoding("the body is not valid zstd")),
        },
        _ => {
            return Err(bad_encoding(
                "this content-encoding is unknown; send identity, gzip, deflate or zstd",
            ));
        }
    };
    if out.len() > max {
        return Err(too_large(max));
    }
    result.map_err(|_| bad_encoding("the body is not what its content-encoding says"))?;
    Ok(out.into())
}

fn bad_encoding(what: &'static str) -> Refusal {
    Refusal::invalid(400, "invalid_encoding").message(what)
}

fn too_large(limit: usize) -> Refusal {
    Refusal::invalid(413, "request_too_large").message(format!(
        "the request body is larger than {}; shorten the history or the images, or raise server.body_limit",
        if limit >= 1 << 20 { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn inflates_within_limits() {
        let small = b"{\"model\":\"m\"}".repeat(3);
        assert_eq!(inflate("gzip", &gzip(&small), 1 << 20).expect("fits"), small);
        let zstd = ruzstd::encoding::compress_to_vec(&small[..], ruzstd::encoding::CompressionLevel::Fastest);
        assert_eq!(inflate("zstd", &zstd, 1 << 20).expect("fits"), small);
    }

    #[test]
    fn bombs_and_noise_are_refused() {
        let bomb = gzip(&vec![0; 32 << 20]);
        assert_eq!(inflate("gzip", &bomb, 64 << 20).expect_err("a bomb").status, 413);
        assert_eq!(inflate("gzip", &gzip(&[7; 3000]), 1000).expect_err("over the limit").status, 413);
        for encoding in ["gzip", "deflate", "zstd", "br"] {
            assert_eq!(inflate(encoding, b"noise", 1000).expect_err("noise").status, 400, "{encoding}");
        }
    }
}
