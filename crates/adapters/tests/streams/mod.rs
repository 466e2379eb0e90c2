//! What the tests of all readers share: a body in pieces, its events as lines, a snapshot beside each fixture.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use latimer_adapters::reader::{BodyEnd, Reader};
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::turn::{EventSink, RecordedEvents, TurnEvent};

/// Gives a reader the frames of an event stream that arrives in pieces of `size` bytes, or a whole document.
pub(crate) fn read_frames(mut reader: Box<dyn Reader>, bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    if bytes.starts_with(b"{") || bytes.starts_with(b"[") {
        reader.push(bytes, sink);
        return reader.finish(BodyEnd::Clean, sink);
    }
    let mut frames = SseDecoder::default();
    for piece in bytes.chunks(size.max(1)) {
        frames.push(piece, &mut |frame| reader.push(frame.data, sink)).expect("short lines");
    }
    frames.finish(&mut |frame| reader.push(frame.data, sink));
    reader.finish(BodyEnd::Clean, sink);
}

/// One line for each event of a body that arrives in pieces of `size` bytes.
pub(crate) fn event_lines(
    read: impl Fn(&[u8], usize, &mut dyn EventSink),
    bytes: &[u8],
    size: usize,
) -> Vec<String> {
    let mut record = RecordedEvents::default();
    read(bytes, size, &mut record);
    record.lines
}

/// A fixture is read the same however it is cut, has one end, at its end, and says what its snapshot says.
pub(crate) fn check_fixture(path: &Path, read: impl Fn(&[u8], usize, &mut dyn EventSink)) {
    let bytes = std::fs::read(path).expect("readable");
    let whole = event_lines(&read, &bytes, bytes.len());
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(whole, event_lines(&read, &bytes, size), "{} in pieces of {size}", path.display());
    }
    let ends: Vec<usize> = (0..whole.len()).filter(|place| whole[*place].starts_with("finished")).collect();
    assert_eq!(ends, [whole.len() - 1], "one end, at the end: {}", path.display());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().expect("a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    let name = path.file_stem().expect("named").to_string_lossy().into_owned();
    settings.bind(|| insta::assert_snapshot!(name, whole.join("\n")));
}

/// Fails where events come behind the end, or a call is given arguments or ended out of place. How many ends there were.
pub(crate) fn count_ends(read: impl FnOnce(&mut dyn EventSink)) -> usize {
    let mut ends = 0;
    let mut open: Vec<u32> = Vec::new();
    read(&mut |event: TurnEvent<'_>| {
        assert_eq!(ends, 0, "nothing follows the end");
        match event {
            TurnEvent::Finished(_) => ends += 1,
            TurnEvent::CallStarted { slot, .. } => open.push(slot),
            TurnEvent::CallArguments { slot, .. } => assert!(open.contains(&slot)),
            TurnEvent::CallEnded { slot } => {
                assert!(open.contains(&slot), "ended once");
                open.retain(|known| *known != slot);
            }
            TurnEvent::Text(text) | TurnEvent::Reasoning(text) => assert!(!text.is_empty()),
            _ => {}
        }
    });
    ends
}
