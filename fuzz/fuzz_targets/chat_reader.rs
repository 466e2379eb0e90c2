//! Whatever a provider sends, the client gets one legal stream.
#![no_main]

use latimer_adapters::chat::stream::ChatReader;
use latimer_adapters::reader::{ReaderContext, BodyEnd, Reader as _};
use latimer_protocol::responses::legality;
use latimer_protocol::sse::SseDecoder;
use latimer_proxy::inbound::responses::request;
use latimer_proxy::inbound::client_behaviour::{ANY_CLIENT, CODEX};
use latimer_proxy::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use latimer_protocol::turn::SealKey;
use libfuzzer_sys::fuzz_target;

const REQUEST: &[u8] = br#"{"model":"m","stream":true,"input":"go","tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"},
    {"type":"tool_search"},{"type":"local_shell"},{"type":"namespace","name":"n","tools":[{"type":"function","name":"g"}]}]}"#;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let parsed = request::read(REQUEST, &SealKey::default()).expect("the request is fine");
    let client = if first & 128 == 0 { &CODEX } else { &ANY_CLIENT };
    let options = ResponsesWriterOptions { stream: true, input_tokens: 1, ..ResponsesWriterOptions::default() };
    let mut writer = ResponsesWriter::new(WriterSeed { client, ..WriterSeed::default() }, options, &parsed.echo, parsed.tools);
    let mut reader = Box::new(ChatReader::new(ReaderContext::default()));
    let mut frames = SseDecoder::new(1 << 20);
    for piece in bytes.chunks(usize::from(first & 127).max(1)) {
        frames.push(piece, &mut |frame| reader.push(frame.data, &mut writer)).expect("short lines");
    }
    frames.finish(&mut |frame| reader.push(frame.data, &mut writer));
    reader.finish(BodyEnd::Clean, &mut writer);
    let out = writer.take();
    assert_eq!(legality::check(&out), Vec::<String>::new(), "{}", String::from_utf8_lossy(&out));
});
