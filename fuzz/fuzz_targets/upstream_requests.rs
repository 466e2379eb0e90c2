//! Whatever a client sends becomes a JSON request in every upstream's words, and never a panic.
#![no_main]

use latimer_adapters::gemini::request::{self as gemini, FlavourLimits};
use latimer_adapters::limitation::Limitations;
use latimer_adapters::responses::profile::Profile;
use latimer_adapters::responses::{rewrite, request as responses};
use latimer_adapters::{command_code, messages};
use latimer_protocol::turn::{StateOwner, SealKey};
use latimer_proxy::inbound::responses::request::read;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let (owner, limitations) = (StateOwner::new("o", "m"), Limitations::default());
    // Well-formed, not what fits a number of ours: a field that nobody knows goes on as it came, `1E999` included.
    let is_object = |body: &[u8]| serde_json::from_slice::<&RawValue>(body).expect("JSON").get().starts_with('{');
    let profile = if first & 1 == 0 { Profile::CHATGPT } else { Profile::PLAIN };
    if let Some(rewritten) = rewrite::rewrite(body, "m", &profile, &owner, &SealKey::default()) {
        assert!(is_object(&rewritten.body));
    }
    let Ok(parsed) = read(body, &SealKey::default()) else { return };
    let takes = FlavourLimits { urls: first & 1 == 0, token_limit: first & 2 == 0, edit_nudge: first & 4 == 0 };
    assert!(is_object(&messages::request::write(&parsed.turn, &owner, &limitations).body));
    assert!(is_object(&responses::write(&parsed.turn, &profile, &owner).body));
    assert!(is_object(&gemini::write(&parsed.turn, "gemini-3-flash", takes, &owner, &limitations).body));
    assert!(is_object(&command_code::request::write(&parsed.turn, first & 1 == 0, &limitations, "2026-01-31").body));
});
