//! Whatever a provider sends, a Chat Completions client gets one legal stream, or one legal object.
#![no_main]

use latimer_adapters::chat::stream::ChatReader;
use latimer_adapters::reader::{ReaderContext, BodyEnd, Reader as _};
use latimer_protocol::chat::legality;
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::turn::SealKey;
use latimer_proxy::inbound::chat::request;
use latimer_proxy::inbound::chat::stream::ChatWriter;
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use libfuzzer_sys::fuzz_target;

const TOOLS: &str = r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c"}}]"#;
const FUNCTIONS: &str = r#""functions":[{"name":"f"}]"#;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let bit = |bit: u8| first & bit != 0;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"go"}}],"stream":{},"stream_options":{{"include_usage":{}}},"stop":{},{}}}"#,
        bit(1),
        bit(2),
        if bit(4) { "\"ab\"" } else { "null" },
        if bit(8) { FUNCTIONS } else { TOOLS },
    );
    let (_, wants) = request::read(body.as_bytes(), &SealKey::default()).expect("the request is fine");
    let (stream, usage) = (wants.stream, wants.usage);
    let mut writer = ChatWriter::new(WriterSeed::default(), wants);
    let mut reader = Box::new(ChatReader::new(ReaderContext::default()));
    let mut frames = SseDecoder::new(1 << 20);
    for piece in bytes.chunks(usize::from(first >> 4).max(1)) {
        frames.push(piece, &mut |frame| reader.push(frame.data, &mut writer)).expect("short lines");
    }
    frames.finish(&mut |frame| reader.push(frame.data, &mut writer));
    reader.finish(BodyEnd::Clean, &mut writer);
    let out = if stream { writer.take() } else { writer.take_object() };
    let faults = if stream { legality::check(&out, usage) } else { legality::check_object(&out) };
    assert_eq!(faults, Vec::<String>::new(), "{}", String::from_utf8_lossy(&out));
});
