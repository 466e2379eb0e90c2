//! The proxy proves who it is, before anybody gives it a token: who asks for a document may send a challenge, which only a process with
//! the secret of the same state directory can answer.

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use latimer_protocol::turn::SealKey;

/// The header of a request that asks for a proof; its value is random.
pub const CHALLENGE: &str = "x-latimer-challenge";
/// The header of the response: [`SealKey::proof`] for the challenge and the port that was connected to.
pub const PROOF: &str = "x-latimer-proof";

/// Bytes of a challenge that is answered: fewer could be guessed, and more is no challenge.
const CHALLENGE_BYTES: std::ops::RangeInclusive<usize> = 32..=128;

/// Answers the challenge of a request, if it has one.
pub(super) fn answer(request: &HeaderMap, key: &SealKey, port: u16, response: &mut HeaderMap) {
    let challenge = request.get(CHALLENGE).and_then(|value| value.to_str().ok());
    if let Some(challenge) = challenge.filter(|challenge| CHALLENGE_BYTES.contains(&challenge.len()))
        && let Ok(proof) = HeaderValue::try_from(key.proof(challenge, port))
    {
        response.insert(PROOF, proof);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(challenge: &str, secret: &[u8], port: u16) -> Option<String> {
        let (mut request, mut response) = (HeaderMap::new(), HeaderMap::new());
        request.insert(CHALLENGE, challenge.parse().expect("a value"));
        answer(&request, &SealKey::from_secret(secret), port, &mut response);
        response.get(PROOF).map(|proof| proof.to_str().expect("text").to_owned())
    }

    #[test]
    fn a_proof_holds_for_one_secret_one_port_and_one_challenge() {
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        let known = proof(&one, b"secret", 4180);
        assert_eq!(known.as_deref(), Some(SealKey::from_secret(b"secret").proof(&one, 4180).as_str()));
        for stranger in
            [proof(&other, b"secret", 4180), proof(&one, b"other", 4180), proof(&one, b"secret", 1)]
        {
            assert!(stranger.is_some() && stranger != known);
        }
    }

    #[test]
    fn what_is_no_challenge_is_not_answered() {
        assert_eq!((proof("short", b"secret", 1), proof(&"1".repeat(129), b"secret", 1)), (None, None));
    }
}
