//! The header `traceparent`, by which a request is found again in the traces of everybody it passes. Pure.
//!
//! Source: W3C Recommendation "Trace Context", 23 November 2021, version 00 of the header, and its rules for versions to come.

use std::fmt;

/// Whose trace a request belongs to, and who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The name of the trace; never 0.
    pub trace: u128,
    /// The name of who asks; never 0.
    pub parent: u64,
    /// Bit 0: whoever asks records it.
    pub flags: u8,
}

impl TraceContext {
    /// Reads the value of the header; `None` where it is none, which is then passed over, as the source demands.
    pub fn read(value: &str) -> Option<Self> {
        let mut parts = value.split('-');
        let [version, trace, parent, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let lengths = [(version, 2), (trace, 32), (parent, 16), (flags, 2)];
        if !lengths.iter().all(|(part, length)| part.len() == *length && part.bytes().all(is_digit)) {
            return None;
        }
        // A later version may have more parts; the one there is has not.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let read = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            parent: u64::from_str_radix(parent, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (read.trace != 0 && read.parent != 0).then_some(read)
    }

    /// The same trace, in which somebody else asks.
    #[must_use]
    pub fn asked_by(self, parent: u64) -> Self {
        Self { parent: parent.max(1), ..self }
    }
}

impl fmt::Display for TraceContext {
    /// The value of the header. Of the flags only the one that is known goes on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags & 1)
    }
}

/// Capital letters are no digits here.
fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written() {
        let context = TraceContext::read(VALUE).expect("read");
        assert_eq!(context.to_string(), VALUE);
        let ours = context.asked_by(7).to_string();
        assert_eq!(ours, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
        let later = format!("{}-more", VALUE.replacen("00", "cc", 1));
        assert_eq!(TraceContext::read(&later), Some(context));
    }

    #[test]
    fn what_is_none_is_passed_over() {
        for value in [
            "",
            "00",
            &format!("{VALUE}-more"),
            &VALUE.replacen("00", "ff", 1),
            &VALUE.to_uppercase(),
            &VALUE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALUE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALUE.replace("-01", "-1"),
            &VALUE.replace("-01", "-+1"),
            &VALUE.replace('-', "_"),
        ] {
            assert_eq!(TraceContext::read(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,80}") {
            let _ = TraceContext::read(&text);
        }

        #[test]
        fn any_context_is_read_as_it_was_written(trace in 1u128.., parent in 1u64.., flags in 0u8..2) {
            let context = TraceContext { trace, parent, flags };
            prop_assert_eq!(TraceContext::read(&context.to_string()), Some(context));
        }
    }
}
