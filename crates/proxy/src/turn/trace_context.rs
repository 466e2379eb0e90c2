//! The trace that a client's request belongs to: named in the log, and handed on to the provider with this turn as who asks. Pure.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use latimer_adapters::prepared_request::Headers;
use latimer_protocol::trace_context::TraceContext;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The most bytes of what others keep in a trace that are handed on.
const MAX_STATE: usize = 512;

/// A client's trace.
#[derive(Debug, Clone)]
pub(super) struct ClientTrace {
    /// In which this turn asks.
    context: TraceContext,
    /// What others keep in it.
    state: Vec<HeaderValue>,
}

impl ClientTrace {
    /// The trace that the headers name; the random bytes become the name of this turn in it. More than one name are none.
    pub(super) fn of(headers: &HeaderMap, random: [u8; 16]) -> Option<Self> {
        let mut named = headers.get_all(&TRACEPARENT).iter();
        let (first, second) = (named.next()?, named.next());
        let context = TraceContext::read(first.to_str().ok()?).filter(|_| second.is_none())?;
        let ours = u64::try_from(u128::from_le_bytes(random) & u128::from(u64::MAX)).unwrap_or(1);
        let state: Vec<HeaderValue> = headers.get_all(&TRACESTATE).iter().cloned().collect();
        let length: usize = state.iter().map(HeaderValue::len).sum();
        let state = if length <= MAX_STATE { state } else { Vec::new() };
        Some(Self { context: context.asked_by(ours), state })
    }

    /// The name of the trace, as others write it.
    pub(super) fn name(&self) -> String {
        format!("{:032x}", self.context.trace)
    }

    /// What the provider is sent of it.
    pub(super) fn headers(&self) -> Headers {
        let parent = HeaderValue::try_from(self.context.to_string()).ok();
        let parent = parent.map(|value| (TRACEPARENT.clone(), value));
        parent.into_iter().chain(self.state()).collect()
    }

    /// One line: a header that comes twice would be replaced on its way.
    fn state(&self) -> Option<(HeaderName, HeaderValue)> {
        let parts: Vec<&[u8]> = self.state.iter().map(HeaderValue::as_bytes).collect();
        let value = HeaderValue::from_bytes(&parts.join(&b","[..])).ok().filter(|value| !value.is_empty())?;
        Some((TRACESTATE.clone(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(pairs: &[(&'static str, &str)]) -> Option<ClientTrace> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        ClientTrace::of(&headers, [9; 16])
    }

    fn sent(trace: &ClientTrace) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        trace.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn the_turn_asks_in_the_client_s_trace() {
        let trace =
            of(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]).expect("one");
        assert_eq!(trace.name(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let ours = PARENT.replace("00f067aa0ba902b7", "0909090909090909");
        let wanted = [("traceparent".to_owned(), ours), ("tracestate".to_owned(), "a=1,b=2".to_owned())];
        assert_eq!(sent(&trace), wanted);
    }

    #[test]
    fn what_is_no_trace_is_passed_over_and_what_is_too_long_stays_here() {
        assert!(of(&[]).is_none());
        assert!(of(&[("traceparent", "mine")]).is_none());
        assert!(of(&[("traceparent", PARENT), ("traceparent", PARENT)]).is_none());
        let long = "a=".to_owned() + &"x".repeat(600);
        assert_eq!(sent(&of(&[("traceparent", PARENT), ("tracestate", &long)]).expect("one")).len(), 1);
    }
}
