//! What the watchdog reads and others may have written: its record, a rules file, a model's answer, a log of somebody else.
//! The first byte says which.
#![no_main]

use latimer_watchdog::diagnose::{reply, scrub::scrub};
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::file;
use latimer_watchdog::signatures::Signatures;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 4 {
        // What is a record stays one, with everything that is in it.
        0 => {
            if let Ok(record) = Record::from_bytes(bytes) {
                let again = Record::from_bytes(&record.to_bytes()).expect("what was written is read");
                assert_eq!(again.incidents.all(), record.incidents.all());
                assert_eq!(again.ledger, record.ledger);
            }
        }
        1 => {
            if let Err(problems) = file::read(&String::from_utf8_lossy(bytes)) {
                assert!(!problems.is_empty(), "a file is refused for a reason");
            }
        }
        // Only words of the list, and only when it is sure.
        2 => {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(proposal) = reply::read(&text) {
                assert!(reply::ALLOWED_REMEDIES.contains(&proposal.remedy) && proposal.confidence >= reply::MIN_CONFIDENCE);
            }
            let _ = scrub(&text);
        }
        // How a log is cut does not matter.
        _ => {
            let Some((size, bytes)) = bytes.split_first() else { return };
            let read = |size: usize| {
                let mut signatures = Signatures::default();
                let mut faults: Vec<_> = bytes.chunks(size).flat_map(|piece| signatures.push(piece)).collect();
                faults.extend(signatures.finish());
                faults
            };
            assert_eq!(read(bytes.len().max(1)), read(usize::from(*size).max(1)));
        }
    }
});
