//! Whatever a provider of any other protocol sends, the client gets one legal stream.
#![no_main]

use latimer_adapters::gemini::stream::ArgumentRule::{AsWritten, WithoutPlaceholder};
use latimer_adapters::reader::{ReaderContext, BodyEnd, Reader};
use latimer_adapters::repair::CallGuard;
use latimer_adapters::{command_code, gemini, messages, responses};
use latimer_protocol::jsonl::LineDecoder;
use latimer_protocol::responses::legality;
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::turn::{SealKey, TurnEvent};
use latimer_proxy::inbound::responses::request;
use latimer_proxy::inbound::client_behaviour::{ANY_CLIENT, CODEX};
use latimer_proxy::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use libfuzzer_sys::fuzz_target;

const REQUEST: &[u8] = br#"{"model":"m","stream":true,"input":"go","tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"}]}"#;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let context = ReaderContext::default();
    let mut reader: Box<dyn Reader> = match first & 3 {
        0 => Box::new(messages::stream::MessagesReader::new(context, None)),
        1 => Box::new(responses::stream::ResponsesReader::new(context)),
        2 => Box::new(gemini::stream::GeminiReader::new(context, if first & 4 == 0 { WithoutPlaceholder } else { AsWritten })),
        _ => Box::new(command_code::stream::CommandCodeReader::new(context, None)),
    };
    let parsed = request::read(REQUEST, &SealKey::default()).expect("the request is fine");
    let client = if first & 128 == 0 { &CODEX } else { &ANY_CLIENT };
    let options = ResponsesWriterOptions { stream: true, input_tokens: 1, ..ResponsesWriterOptions::default() };
    let mut writer = ResponsesWriter::new(WriterSeed { client, ..WriterSeed::default() }, options, &parsed.echo, parsed.tools);
    // Between a reader and a writer stands what holds calls until they are whole.
    let mut guard = CallGuard::new(std::sync::Arc::default(), None);
    let mut events = |event: TurnEvent<'_>| guard.event(event, &mut writer);
    let pieces = bytes.chunks(usize::from(first >> 3 & 15).max(1));
    if first & 3 == 3 {
        let mut lines = LineDecoder::new(1 << 20);
        for piece in pieces {
            lines.push(piece, &mut |line| reader.push(line, &mut events)).expect("short lines");
        }
        lines.finish(&mut |line| reader.push(line, &mut events));
    } else {
        let mut frames = SseDecoder::new(1 << 20);
        for piece in pieces {
            frames.push(piece, &mut |frame| reader.push(frame.data, &mut events)).expect("short lines");
        }
        frames.finish(&mut |frame| reader.push(frame.data, &mut events));
    }
    reader.finish(BodyEnd::Clean, &mut events);
    let out = writer.take();
    assert_eq!(legality::check(&out), Vec::<String>::new(), "{}", String::from_utf8_lossy(&out));
});
