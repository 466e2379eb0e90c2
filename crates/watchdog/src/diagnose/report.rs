//! The question to a model: what happened, in codes, names and numbers. Nothing else can enter: every word is a number, a
//! word of ours, or a name that passed [`super::scrub::name`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use latimer_protocol::failure::FailureKind;
use latimer_protocol::status::Fault;

use super::scrub::{name, scrub};
use super::{Report, reply};
use crate::incidents::Incident;
use crate::pattern::{Fact, Pattern, clean_name};
use crate::time::Time;

/// What a model is told about its task.
const INSTRUCTIONS: &str = "You help a watchdog that keeps a local translation proxy between a coding agent and model \
providers alive. You get one report of a fault. Answer with exactly one JSON object and nothing else: \
{\"action\": one of the actions below, \"reason\": at most 20 words, \"confidence\": 0 to 1}. If you are not sure, use alert_user. Actions: ";
/// Coded events that are told: those of the last minute …
const EVENT_WINDOW: Duration = Duration::from_secs(60);
/// … and never more than these.
const MAX_EVENTS: usize = 64;

/// One detection, as it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FaultEvent {
    at: Time,
    fault: Fault,
    status: Option<u16>,
}

/// What is remembered for reports: coded events, counters, the last failure of each endpoint. Bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentContext {
    events: VecDeque<FaultEvent>,
    counts: BTreeMap<Fault, u64>,
    /// By endpoint: model, last status, last failure.
    endpoints: BTreeMap<String, Endpoint>,
}

/// The last that is known of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Endpoint {
    number: usize,
    model: Option<String>,
    status: Option<u16>,
    failure: Option<String>,
}

/// The proxy, as it may be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyFacts {
    /// A word for its phase, one of ours.
    pub phase: &'static str,
    /// Whole seconds since it listens.
    pub uptime_s: u64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Turns that are open at this moment.
    pub turns_open: u64,
    /// Missed checks in a row.
    pub missed: u32,
    /// It runs in safe mode.
    pub safe_mode: bool,
    /// Automatic starts since the watchdog began.
    pub starts: u64,
}

impl IncidentContext {
    /// The most endpoints that are remembered.
    const MAX_ENDPOINTS: usize = 64;

    /// A fault was seen.
    pub fn seen(&mut self, fault: Fault, status: Option<u16>, now: Time) {
        self.events.push_back(FaultEvent { at: now, fault, status });
        while self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
        let count = self.counts.entry(fault).or_default();
        *count = count.saturating_add(1);
    }

    /// What a turn on an endpoint came to.
    pub fn turn(&mut self, endpoint: &str, model: Option<&str>, status: Option<u16>, failure: Option<&str>) {
        let (endpoint, number) = (clean_name(endpoint), self.endpoints.len() + 1);
        if number > Self::MAX_ENDPOINTS && !self.endpoints.contains_key(&endpoint) {
            return;
        }
        let entry =
            self.endpoints.entry(endpoint).or_insert_with(|| Endpoint { number, ..Endpoint::default() });
        entry.model = model.map(|model| name(model).to_owned()).or(entry.model.take());
        entry.status = status;
        entry.failure = failure.map(|code| known_failure(code).to_owned());
    }

    /// How often each fault was seen since the watchdog began.
    pub fn counts(&self) -> &BTreeMap<Fault, u64> {
        &self.counts
    }

    /// The question about a pattern.
    pub fn report(
        &self,
        pattern: &Pattern,
        proxy: &ProxyFacts,
        record: Option<&Incident>,
        now: Time,
        wall: Time,
    ) -> Report {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, pattern, proxy, record, now, wall);
        let actions: Vec<_> = reply::ALLOWED_REMEDIES.iter().map(|remedy| remedy.name()).collect();
        Report { instructions: format!("{INSTRUCTIONS}{}.", actions.join(", ")), text: scrub(&text) }
    }

    fn write(
        &self,
        out: &mut String,
        pattern: &Pattern,
        proxy: &ProxyFacts,
        record: Option<&Incident>,
        now: Time,
        wall: Time,
    ) -> std::fmt::Result {
        writeln!(out, "time: {wall} UTC")?;
        writeln!(out, "fault: {} {}", pattern.fault, pattern.fault.title())?;
        for (fact, value) in pattern.facts.iter().filter(|(fact, _)| **fact != Fact::Endpoint) {
            writeln!(out, "{}: {}", fact.name(), name(value))?;
        }
        let ProxyFacts { phase, uptime_s, turns_open, missed, starts, .. } = proxy;
        let memory = proxy.memory_bytes >> 20;
        let safe = if proxy.safe_mode { ", in safe mode" } else { "" };
        writeln!(
            out,
            "proxy: {phase}{safe}, up {uptime_s} s, {memory} MiB, {turns_open} open turns, {missed} missed checks, {starts} automatic starts"
        )?;
        if let Some(endpoint) = pattern.endpoint().and_then(|endpoint| self.endpoints.get(endpoint)) {
            write!(out, "provider: endpoint {}", endpoint.number)?;
            write!(out, ", model {}", endpoint.model.as_deref().unwrap_or("unknown"))?;
            if let Some(status) = endpoint.status {
                write!(out, ", last status {status}")?;
            }
            writeln!(out, ", last failure {}", endpoint.failure.as_deref().unwrap_or("none"))?;
        }
        let mut recent: BTreeMap<(Fault, Option<u16>), u32> = BTreeMap::new();
        for event in self.events.iter().filter(|event| now.since(event.at) <= EVENT_WINDOW) {
            *recent.entry((event.fault, event.status)).or_default() += 1;
        }
        for ((fault, status), count) in recent {
            let status = status.map(|status| format!(" with status {status}")).unwrap_or_default();
            writeln!(out, "last minute: {count} of {fault} {}{status}", fault.title())?;
        }
        let repairs: Vec<_> = self.counts.iter().filter(|(fault, _)| fault.group() == 'C').collect();
        for (fault, count) in repairs {
            writeln!(out, "repairs so far: {count} of {fault} {}", fault.title())?;
        }
        if let Some(record) = record {
            writeln!(out, "record: seen {} times since {} UTC", record.seen, record.first)?;
            for fix in record.fixes.iter().rev().take(5) {
                let (good, bad) = (fix.successes, fix.failures);
                writeln!(out, "record: {} helped {good} times and did not {bad} times", fix.remedy.name())?;
            }
        }
        Ok(())
    }
}

/// A failure code of the catalogue, or `other`.
fn known_failure(code: &str) -> &'static str {
    const KINDS: [FailureKind; 17] = [
        FailureKind::BadRequest,
        FailureKind::Unauthorized,
        FailureKind::Forbidden,
        FailureKind::ModelNotFound,
        FailureKind::ContextLength,
        FailureKind::RateLimited,
        FailureKind::ConcurrencyLimited,
        FailureKind::WindowExhausted,
        FailureKind::QuotaExhausted,
        FailureKind::Overloaded,
        FailureKind::UpstreamError,
        FailureKind::Unreachable,
        FailureKind::Timeout,
        FailureKind::Interrupted,
        FailureKind::TooLarge,
        FailureKind::ShuttingDown,
        FailureKind::Internal,
    ];
    KINDS.into_iter().map(FailureKind::code).find(|known| *known == code).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Proposer;
    use crate::incidents::Incidents;
    use crate::rules::Remedy;

    #[test]
    fn a_report_tells_codes_names_and_numbers() {
        let (now, mut context, mut incidents) =
            (Time::from_secs(1_700_000_000), IncidentContext::default(), Incidents::default());
        let pattern =
            Pattern::new(Fault::CallNotFound).with(Fact::Endpoint, "ann-work").with(Fact::Dialect, "dsml");
        context.turn("ann-work", Some("deepseek/deepseek-v4"), Some(500), Some("upstream_error"));
        for _ in 0..5 {
            context.seen(Fault::CallNotFound, None, now);
        }
        context.seen(Fault::ServerError, Some(500), now);
        context.seen(Fault::RateLimited, Some(429), Time::from_secs(1_699_999_000));
        incidents.seen(&pattern, now);
        incidents.tried(&pattern, Remedy::ClearSchemaCache, Proposer::Rule, false, now);
        let proxy =
            ProxyFacts { phase: "up", uptime_s: 812, memory_bytes: 61 << 20, ..ProxyFacts::default() };
        let report = context.report(&pattern, &proxy, incidents.get(&pattern), now, now);
        insta::assert_snapshot!(report.text, @r"
        time: 2023-11-14 22:13:20.000 UTC
        fault: C3 no call was found where one was meant
        dialect: dsml
        proxy: up, up 812 s, 61 MiB, 0 open turns, 0 missed checks, 0 automatic starts
        provider: endpoint 1, model deepseek/deepseek-v4, last status 500, last failure upstream_error
        last minute: 1 of B2 the provider broke (5xx) with status 500
        last minute: 5 of C3 no call was found where one was meant
        repairs so far: 5 of C3 no call was found where one was meant
        record: seen 1 times since 2023-11-14 22:13:20.000 UTC
        record: clear_schema_cache helped 0 times and did not 1 times
        ");
        assert!(!report.text.contains("ann"), "endpoints are numbered: their names may say whose they are");
        for remedy in reply::ALLOWED_REMEDIES {
            assert!(report.instructions.contains(remedy.name()));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut context = IncidentContext::default();
        for number in 0..1000 {
            context.seen(Fault::ServerError, Some(500), Time::from_secs(number));
            context.turn(&number.to_string(), None, None, None);
        }
        assert_eq!(
            (context.events.len(), context.endpoints.len()),
            (MAX_EVENTS, IncidentContext::MAX_ENDPOINTS)
        );
        assert_eq!(context.counts[&Fault::ServerError], 1000);
    }
}
