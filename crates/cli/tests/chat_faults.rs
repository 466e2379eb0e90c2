//! Every way a provider breaks, through the whole proxy: the client gets the exact text, or a failure in words; never a hang,
//! never half an answer that looks whole.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use latimer_adapters::scripted::{Encoding, Framing, ScriptedAnswer, Step};
use latimer_protocol::responses::legality;
use serde_json::json;
use support::faults::{Completed, Failed, Fault, Refused, check_faults, fault, output_text};
use support::{Harness, dechunk};

const ASK: &str = r#"{"model":"glm-5","stream":true,"input":"go"}"#;
/// What a provider may say without it being a turn that takes long: limits are set low for this test.
const LIMITS: &str = "retries = 1\ntimeouts = { connect = \"1s\", first_byte = \"2s\", idle = \"2s\" }";

fn connections() -> Vec<Fault> {
    let said = || [Step::text("Half"), Step::sleep(30)];
    let then = |step: Step| ScriptedAnswer::steps(said().into_iter().chain([step]));
    vec![
        fault("closed before headers", ScriptedAnswer::close(), Refused(502, "connection")),
        fault("reset before headers", ScriptedAnswer::reset(), Refused(502, "connection")),
        fault("silence before headers", ScriptedAnswer::silence(), Refused(504, "2s")),
        fault("headers byte by byte", ScriptedAnswer::text("x").head_gap_ms(50), Refused(504, "2s")),
        fault("silence after headers", ScriptedAnswer::steps([Step::Stall]), Refused(504, "timeouts.idle")),
        fault("silence in mid-stream", then(Step::Stall), Failed("Half")),
        fault("reset in mid-stream", then(Step::Reset), Failed("Half")),
        fault("cut in mid-stream", then(Step::Cut), Failed("Half")),
        fault("a clean end without a reason", then(Step::End), Failed("Half")),
        fault(
            "a body shorter than its length",
            ScriptedAnswer::steps([Step::text("Half")]).framing(Framing::Length(9999)),
            Failed("Half"),
        ),
        fault("not HTTP", ScriptedAnswer::raw_tcp(*b"SSH-2.0-OpenSSH_9.7\r\n"), Refused(502, "HTTP")),
        fault("a broken chunk size", then(Step::wire("zz\r\nhello\r\n")), Failed("Half")),
        Fault {
            name: "open after the end marker",
            answers: vec![ScriptedAnswer::steps([
                Step::text("Whole."),
                Step::finish("stop"),
                Step::Done,
                Step::Stall,
            ])],
            outcome: Completed("Whole."),
        },
        Fault {
            name: "closed once, then well",
            answers: vec![ScriptedAnswer::close(), ScriptedAnswer::text("Well.")],
            outcome: Completed("Well."),
        },
        Fault {
            name: "503 once, then well",
            answers: vec![
                ScriptedAnswer::error(503, json!({"error": {"message": "overloaded"}})),
                ScriptedAnswer::text("Well."),
            ],
            outcome: Completed("Well."),
        },
    ]
}

fn answers() -> Vec<Fault> {
    let html = |status: u16| {
        ScriptedAnswer::steps([Step::raw("<html><body>Please log in</body></html>")])
            .status(status)
            .content_type("text/html")
    };
    let error = |status: u16| {
        ScriptedAnswer::error(status, json!({"error": {"message": "the provider's own words"}}))
    };
    vec![
        fault(
            "a redirect",
            html(302).header("location", "https://elsewhere.example/"),
            Refused(502, "redirects are never followed"),
        ),
        fault("a login page", html(200), Refused(502, "web page")),
        fault(
            "an error object with 200",
            ScriptedAnswer::whole(json!({"error": {"message": "no credit left", "code": 402}})),
            Refused(429, "no credit left"),
        ),
        fault("an empty body with 200", ScriptedAnswer::steps([]), Refused(502, "empty answer")),
        fault("204", ScriptedAnswer::steps([]).status(204), Refused(502, "empty answer")),
        fault("400", error(400), Refused(400, "the provider's own words")),
        fault("401", error(401), Refused(502, "the provider's own words")),
        fault("403", error(403), Refused(502, "the provider's own words")),
        fault("404", error(404), Refused(400, "the provider's own words")),
        fault("413", error(413), Refused(400, "the provider's own words")),
        fault("422", error(422), Refused(400, "the provider's own words")),
        fault("429", error(429), Refused(429, "the provider's own words")),
        fault("500", error(500), Refused(502, "the provider's own words")),
        fault("502 with HTML", html(502), Refused(503, "Please log in")),
        fault("529 with nothing", ScriptedAnswer::steps([]).status(529), Refused(503, "HTTP 529")),
        fault(
            "a whole answer instead of a stream",
            ScriptedAnswer::whole(json!({
                "id": "c", "object": "chat.completion", "model": "m",
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Whole."}}]
            })),
            Completed("Whole."),
        ),
        fault(
            "a wrong content type",
            ScriptedAnswer::text("Plain.").content_type("text/plain"),
            Completed("Plain."),
        ),
        fault("no content type", ScriptedAnswer::text("Plain.").content_type(""), Completed("Plain.")),
        fault("gzip", ScriptedAnswer::text("Packed.").encoding(Encoding::Gzip), Completed("Packed.")),
        fault("deflate", ScriptedAnswer::text("Packed.").encoding(Encoding::Deflate), Completed("Packed.")),
    ]
}

fn streams() -> Vec<Fault> {
    let chunk = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string();
    let end =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let raw = |text: String| ScriptedAnswer::steps([Step::raw(text)]);
    vec![
        fault(
            "a garbage line between good ones",
            raw(format!("data: {}\n\n%%%%\n\ndata: {}\n\n{end}", chunk("a"), chunk("b"))),
            Completed("ab"),
        ),
        fault(
            "a frame cut by the end",
            raw(format!("data: {}\n\ndata: {{\"choices\":[{{\"del", chunk("a"))),
            Failed("a"),
        ),
        fault(
            "no blank line at the end",
            raw(format!("data: {}\n\n{}", chunk("a"), end.trim_end())),
            Completed("a"),
        ),
        fault(
            "no end marker after a reason",
            raw(format!("data: {}\n\n{}", chunk("a"), end.replace("data: [DONE]\n\n", ""))),
            Completed("a"),
        ),
        fault(
            "carriage returns and no space",
            raw(format!("data:{}\r\rdata:{}\r\n\r\n{end}", chunk("a"), chunk("b"))),
            Completed("ab"),
        ),
        fault("a byte order mark", raw(format!("\u{feff}data: {}\n\n{end}", chunk("a"))), Completed("a")),
        fault(
            "an error in mid-stream",
            raw(format!(
                "data: {}\n\ndata: {{\"error\":{{\"message\":\"broke\",\"code\":500}}}}\n\n",
                chunk("a")
            )),
            Failed("a"),
        ),
        fault("everything twice", raw(format!("data: {}\n\n{end}{end}", chunk("a"))), Completed("a")),
        fault(
            "a line without end",
            ScriptedAnswer::steps([Step::text("a"), Step::repeat(80, [Step::raw("x".repeat(256 << 10))])]),
            Failed("a"),
        ),
        fault(
            "JSON nested deep",
            raw(format!("data: {}\n\ndata: {}\n\n{end}", chunk("a"), "[".repeat(200_000))),
            Completed("a"),
        ),
        fault(
            "comments before the answer",
            ScriptedAnswer::turn([
                Step::repeat(8, [Step::comment("PROCESSING"), Step::sleep(60)]),
                Step::text("Late."),
            ]),
            Completed("Late."),
        ),
        fault(
            "characters cut anywhere",
            ScriptedAnswer::turn([Step::Text { text: "añ€𝄞é".repeat(3), pieces: 40, gap_us: 0 }]),
            Completed("añ€𝄞éañ€𝄞éañ€𝄞é"),
        ),
        fault(
            "many small events",
            ScriptedAnswer::turn([Step::repeat(20_000, [Step::text("")]), Step::text("Done.")]),
            Completed("Done."),
        ),
    ]
}

#[test]
fn broken_connections() {
    check_faults("connections", LIMITS, ASK, &[], connections());
}

#[test]
fn broken_answers() {
    check_faults("answers", LIMITS, ASK, &[], answers());
}

#[test]
fn broken_streams() {
    check_faults("streams", LIMITS, ASK, &[], streams());
}

#[test]
fn a_key_that_is_used_up_gives_way_to_the_next() {
    let used_up =
        ScriptedAnswer::error(429, json!({"error": {"message": "quota"}})).header("retry-after", "3600");
    let keys = "api_key = [\"first\", \"second\"]";
    let harness = Harness::configured("keys", [used_up, ScriptedAnswer::text("Well.")], "", keys);
    for _ in 0..2 {
        assert_eq!(output_text(&dechunk(&harness.post(ASK, ""))), "Well.");
    }
    let used: Vec<_> =
        harness.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    let bearer = |key: &str| Some(format!("Bearer {key}"));
    assert_eq!(
        used,
        [bearer("first"), bearer("second"), bearer("second")],
        "the tired key was not left alone"
    );
}

#[test]
fn a_short_retry_after_is_waited_for() {
    let busy =
        ScriptedAnswer::error(429, json!({"error": {"message": "slow down"}})).header("retry-after", "1");
    let harness = Harness::new("wait", [busy, ScriptedAnswer::text("Well.")]);
    assert_eq!(output_text(&dechunk(&harness.post(ASK, ""))), "Well.");
    let times: Vec<Duration> = harness.requests().iter().map(|request| request.received_at).collect();
    assert!(times[1].saturating_sub(times[0]) >= Duration::from_millis(950), "{times:?}");
}

#[test]
fn a_silent_provider_does_not_make_the_client_hang_up() {
    let slow = ScriptedAnswer::turn([Step::text("A"), Step::sleep(1500), Step::text("B")]);
    let harness = Harness::configured("alive", [slow], "keep_alive = \"200ms\"", "");
    let asked_at = Instant::now();
    let stream = dechunk(&harness.post(ASK, ""));
    let most = usize::try_from(asked_at.elapsed().as_millis() / 200).expect("fits") + 1;
    assert_eq!(legality::check(stream.as_bytes()), Vec::<String>::new(), "{stream}");
    let alive = stream.matches("\nevent: response.in_progress\n").count();
    assert!((3..=most).contains(&alive), "{alive} events, {most} at the most: {stream}");
}
