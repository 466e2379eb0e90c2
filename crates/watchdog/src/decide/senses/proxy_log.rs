//! The proxy's own log: one decided line, and what it means beside its code.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::super::detection::Detection;
use super::Senses;
use super::classify::{classify, is_success};
use super::machine::login_command;
use crate::pattern::{Fact, clean_name};
use crate::rules::Rules;
use crate::signal::ProxyEvent;

/// Reads one line. A turn that worked ends what is counted in a row for its endpoint.
pub(super) fn read(senses: &mut Senses, rules: &Rules, event: &ProxyEvent) -> Option<Detection> {
    senses.note_turn(event);
    if is_success(event) {
        let endpoint = event.endpoint.as_deref();
        let in_a_row: Vec<_> =
            rules.rows().iter().filter(|rule| rule.in_a_row).map(|rule| rule.fault).collect();
        senses.counters.begin_again(|pattern| {
            pattern.fault.group() == 'B'
                && pattern.endpoint() == endpoint
                && in_a_row.contains(&pattern.fault)
        });
    }
    let mut detection = Detection::new(classify(event)?);
    detection.status = event.status;
    detection.retry_after = event.retry_after_ms.map(Duration::from_millis);
    match detection.fault() {
        Fault::ContextTooLong => detection.scope = event.thread.as_deref().map(clean_name),
        Fault::AllRoutesResting => {
            detection.what =
                event.until.map(|until| format!("every route rests; the first returns at {until} UTC"));
            if senses.network_down {
                detection.pattern = detection.pattern.with(Fact::Network, "down");
            }
        }
        Fault::LoginExpiring => detection.run = event.account.as_deref().map(login_command),
        _ => {}
    }
    Some(detection)
}

#[cfg(test)]
mod tests {
    use super::super::super::clock::Clocks;
    use super::*;
    use crate::time::Time;

    const AT: Clocks = Clocks { now: Time::from_secs(1000), wall: Time::from_secs(1000) };

    fn event(failure: Option<&str>, finish: Option<&str>) -> ProxyEvent {
        ProxyEvent {
            event: "turn.done".to_owned(),
            failure: failure.map(str::to_owned),
            finish: finish.map(str::to_owned),
            endpoint: Some("kimi".to_owned()),
            retry_after_ms: Some(1500),
            thread: Some("t1".to_owned()),
            ..ProxyEvent::default()
        }
    }

    #[test]
    fn a_turn_that_works_ends_a_count_in_a_row() {
        let (mut senses, rules) = (Senses::default(), Rules::default());
        let broken = read(&mut senses, &rules, &event(Some("upstream_error"), None)).expect("a fault");
        senses.count(&broken, &rules, AT);
        let seen = |senses: &Senses| senses.seen_within(&broken.pattern, Duration::from_secs(60), AT);
        assert_eq!((seen(&senses), broken.retry_after), (1, Some(Duration::from_millis(1500))));
        assert_eq!(read(&mut senses, &rules, &event(None, Some("stop"))), None);
        assert_eq!(seen(&senses), 0);
    }

    #[test]
    fn a_thread_rests_by_itself_and_routes_rest_with_the_network() {
        let (mut senses, rules) = (Senses { network_down: true, ..Senses::default() }, Rules::default());
        let long = read(&mut senses, &rules, &event(Some("context_length_exceeded"), None)).expect("a fault");
        assert_eq!(long.scope.as_deref(), Some("t1"));
        let none =
            ProxyEvent { event: "routes.none".to_owned(), until: Some(Time::ZERO), ..event(None, None) };
        let none = read(&mut senses, &rules, &none).expect("a fault");
        assert_eq!(none.pattern.to_string(), "E5 endpoint=kimi network=down");
        assert!(none.what.expect("said").contains("the first returns at 1970-01-01"));
    }
}
