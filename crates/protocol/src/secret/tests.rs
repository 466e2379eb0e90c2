use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::known::MIN_PART;
use super::*;

#[test]
fn debug_shows_nothing() {
    assert_eq!(format!("{:?}", Secret::new("sk-live-123")), "***");
}

#[test]
fn redact_removes_credentials_and_keeps_words() {
    let cases = [
        ("Incorrect API key provided: sk-abcdef1234567890abcd.", "Incorrect API key provided: ***"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("{\"api_key\":\"sk-abcdef1234567890\"}", "{\"api_key\":\"***\"}"),
        ("GET https://host/x?key=AIzaSyA1234567890123456 failed", "GET https://host/x?key=*** failed"),
        ("the monkey: a token is not a risk-taker", "the monkey: a token is not a risk-taker"),
        ("maximum context length is 8192 tokens", "maximum context length is 8192 tokens"),
        ("a disk-sk-abcdef1234567890 and sk-abcdef1234567890", "a disk-*** and ***"),
        ("https://ann:pass@host.test/v1 refused", "https://***@host.test/v1 refused"),
        ("{\"password\": \"p4ssw0rd!\", \"x\": 1}", "{\"password\": \"***\", \"x\": 1}"),
        ("set-cookie: a=b; c=d\nnext line", "set-cookie: ***\nnext line"),
        ("key -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----, then", "key ***, then"),
        ("no access: AKIAIOSFODNN7EXAMPLE", "no access: ***"),
        ("\"0123456789abcdef0123456789abcdef\" is not a valid API key", "\"***\" is not a valid API key"),
        (
            "request id 0123456789abcdef0123456789abcdef: invalid api key",
            "request id 0123456789abcdef0123456789abcdef: invalid api key",
        ),
        ("Unrecognized key: reasoning_effort", "Unrecognized key: reasoning_effort"),
        ("unknown field user_location_of_person", "unknown field user_location_of_person"),
        (
            "your key has no access to claude-sonnet-4-5-20250929",
            "your key has no access to claude-sonnet-4-5-20250929",
        ),
        ("bearer authentication is required", "bearer authentication is required"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic ***"),
    ];
    for (text, want) in cases {
        assert_eq!(redact(text), want, "for {text:?}");
        assert_eq!(redact(want), want, "a second time changes nothing");
    }
}

#[test]
fn a_secret_is_known_as_long_as_a_copy_of_it_lives() {
    let secret = Secret::new("id-Quokka.7!");
    let copy = secret.clone();
    let text = "no such thing as id-quokka.7! here";
    drop(secret);
    assert_eq!(redact(text), "no such thing as *** here");
    drop(copy);
    assert_eq!(redact(text), text);
}

#[test]
fn a_known_secret_is_found_in_the_credentials_of_basic_auth() {
    let _secret = Secret::new("Wombat~secret~9");
    for user in ["a", "ab", "abc"] {
        let encoded = STANDARD.encode(format!("{user}:Wombat~secret~9"));
        assert_eq!(redact(&format!("sent {encoded} there")), "sent *** there");
        assert_eq!(redact_known(&format!("sent {encoded} there")), "sent *** there");
    }
}

#[test]
fn ranges_that_overlap_or_touch_are_removed_once() {
    assert_eq!(without("abcdefgh", vec![4..6, 1..3, 2..5, 6..7]).as_deref(), Some("a***h"));
    assert_eq!(without("abc", Vec::new()), None);
}

proptest! {
    /// Whatever form a secret comes back in and wherever the text is cut, no part of it passes that is longer than what a cut leaves.
    #[test]
    fn nothing_of_a_known_secret_passes(
        secret in "[A-Z0-9!\"\\\\/+%&<>~^]{8,80}",
        which in any::<prop::sample::Index>(),
        before in "[ äö.\n]{0,10}",
        after in "[ äö.\n]{0,10}",
        cut in any::<prop::sample::Index>(),
    ) {
        let _known = Secret::new(secret.clone());
        let forms = forms::forms(&secret);
        let form = &forms[which.index(forms.len())].text;
        let text = format!("{before}{form}{after}");
        prop_assert_eq!(redact(&text), format!("{before}***{after}"));
        prop_assert_eq!(redact_known(&text), format!("{before}***{after}"));
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let (first, second) = text.split_at(places[cut.index(places.len())]);
        let shown = [redact(first), redact(second)];
        for part in form.as_bytes().windows(MIN_PART) {
            let part = String::from_utf8_lossy(part);
            prop_assert!(!shown.iter().any(|piece| piece.contains(&*part)), "{part} in {shown:?}");
        }
    }

    #[test]
    fn any_text_is_cleaned_without_a_panic(text in "\\PC{0,200}") {
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once);
    }
}
