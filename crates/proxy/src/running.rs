//! Turns under way, as whoever looks from outside sees them.
//!
//! A turn tells of itself a handful of times, whatever the number of its deltas: when it knows what is asked, for each attempt, for each
//! wait, with its first word. Nobody is called then: a number grows, and whoever looks compares it.

mod requests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use latimer_adapters::drive::SteerTurn;
use latimer_protocol::failure::Failure;
use latimer_protocol::secret::redact_known;
use latimer_protocol::status::{AttemptReport, FailureReport, TurnReport, TurnState, WaitReport};

pub use self::requests::{AskedRequest, KeptBody, KeptRequests, SentRequest, TurnRequests};
use crate::clock;
use crate::inbound::client_protocol::ClientProtocol;
use crate::sync::lock;
use crate::text;

/// Attempts of one turn that are remembered; the last place belongs to the newest one.
const MAX_ATTEMPTS: usize = 32;

/// Characters of a failure's words that are told.
const MAX_MESSAGE: usize = 2000;

/// How often anything has changed that a page shows.
#[derive(Debug, Default)]
pub struct ChangeCount(AtomicU64);

impl ChangeCount {
    /// Something changed.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of changes until now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The turns of a process that are under way.
#[derive(Debug, Default)]
pub struct RunningTurns {
    version: Arc<ChangeCount>,
    requests: Arc<KeptRequests>,
    turns: Mutex<BTreeMap<u64, Arc<RunningTurn>>>,
}

impl RunningTurns {
    /// A turn begins. It is listed until [`RunningTurns::remove`].
    pub fn add(&self, number: u64, id: String) -> Arc<RunningTurn> {
        let turn = Arc::new(RunningTurn::new(id, Arc::clone(&self.version), Arc::clone(&self.requests)));
        lock(&self.turns).insert(number, Arc::clone(&turn));
        self.version.bump();
        turn
    }

    /// The turn of this number is over.
    pub fn remove(&self, number: u64) {
        lock(&self.turns).remove(&number);
        self.version.bump();
    }

    /// What the last turns were asked and sent.
    pub fn requests(&self) -> &KeptRequests {
        &self.requests
    }

    /// Grows with each change of a turn.
    pub fn version(&self) -> &ChangeCount {
        &self.version
    }

    /// The turns under way, the oldest first, at most so many of them.
    pub fn list(&self, max: usize) -> Vec<TurnReport> {
        let turns: Vec<Arc<RunningTurn>> = lock(&self.turns).values().take(max).cloned().collect();
        turns.iter().map(|turn| turn.report()).collect()
    }

    /// The turn of this name.
    pub fn find(&self, id: &str) -> Option<TurnReport> {
        let found = lock(&self.turns).values().find(|turn| turn.id == id).cloned();
        found.map(|turn| turn.report())
    }
}

/// One turn under way. What belongs to no list, such as a probe, has one too, and nobody looks at it.
#[derive(Debug)]
pub struct RunningTurn {
    id: String,
    begun: Instant,
    begun_ms: u64,
    version: Arc<ChangeCount>,
    requests: Arc<KeptRequests>,
    /// How many waits have begun.
    waits: AtomicU64,
    report: Mutex<TurnReport>,
    /// When the first attempt began.
    first_attempt: OnceLock<Instant>,
    /// How more words reach the answer that arrives.
    steer: Mutex<Option<Arc<dyn SteerTurn>>>,
}

impl Default for RunningTurn {
    fn default() -> Self {
        Self::new(String::new(), Arc::default(), Arc::default())
    }
}

impl RunningTurn {
    fn new(id: String, version: Arc<ChangeCount>, requests: Arc<KeptRequests>) -> Self {
        let begun_ms = clock::unix_millis();
        let report = TurnReport { id: id.clone(), begun_ms, ..TurnReport::default() };
        Self {
            id,
            begun: clock::now(),
            begun_ms,
            version,
            requests,
            waits: AtomicU64::new(0),
            report: Mutex::new(report),
            first_attempt: OnceLock::new(),
            steer: Mutex::default(),
        }
    }

    /// Its name in the log.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An answer has begun, and this is how more words reach it.
    pub fn answers(&self, steer: Option<Arc<dyn SteerTurn>>) {
        if steer.is_some() {
            *lock(&self.steer) = steer;
        }
        self.enter(TurnState::FirstWord);
    }

    /// How more words reach the answer that arrives; `None` where they wait for its end.
    pub fn steer(&self) -> Option<Arc<dyn SteerTurn>> {
        lock(&self.steer).clone()
    }

    /// Changes what is known of it.
    pub fn change(&self, change: impl FnOnce(&mut TurnReport)) {
        change(&mut lock(&self.report));
        self.version.bump();
    }

    /// It stands here now, and waits for nothing.
    pub fn enter(&self, state: TurnState) {
        self.change(|report| {
            report.state = state;
            if let (Some(wait), Some(attempt)) = (report.wait.take(), report.attempts.last_mut())
                && attempt.failure.is_none()
            {
                attempt.queued_ms = clock::unix_millis().saturating_sub(wait.since_ms);
                attempt.queued_for = wait.why;
            }
        });
    }

    /// It waits, until a known time or until something is free.
    pub fn wait(&self, why: String, time: Option<Duration>) {
        let since_ms = clock::unix_millis();
        let until_ms = time.map(|time| since_ms.saturating_add(millis(time)));
        self.change(|report| {
            report.state = TurnState::Waiting;
            report.wait = Some(WaitReport { since_ms, until_ms, why });
        });
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// How many waits have begun: whoever tells of them looks at [`RunningTurn::wait_report`] only when this has changed.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// What it waits for now.
    pub fn wait_report(&self) -> Option<WaitReport> {
        lock(&self.report).wait.clone()
    }

    /// The client sent this; the model, where the path names it.
    pub fn asked(&self, protocol: ClientProtocol, path_model: Option<String>, body: &Bytes) {
        self.requests.asked(&self.id, protocol, path_model, body);
    }

    /// This went to `endpoint/model`, in this wire protocol.
    pub fn sent(&self, target: &str, protocol: &'static str, body: &Bytes) {
        self.requests.sent(&self.id, target, protocol, body);
    }

    /// A request goes to a target.
    pub fn begin_attempt(&self, endpoint: &str, model: &str, account: &str) {
        self.first_attempt.get_or_init(clock::now);
        let at_ms = self.elapsed();
        let model = &*redact_known(model);
        self.change(|report| {
            report.state = TurnState::Connecting;
            report.wait = None;
            endpoint.clone_into(&mut report.endpoint);
            model.clone_into(&mut report.model);
            account.clone_into(&mut report.account);
            if report.attempts.len() == MAX_ATTEMPTS {
                report.attempts.pop();
            }
            report.attempts.push(AttemptReport {
                endpoint: endpoint.to_owned(),
                model: model.to_owned(),
                account: account.to_owned(),
                at_ms,
                ..AttemptReport::default()
            });
        });
    }

    /// The attempt under way is made with this key or account.
    pub fn uses(&self, account: &str) {
        self.change(|report| {
            account.clone_into(&mut report.account);
            if let Some(attempt) = report.attempts.last_mut() {
                account.clone_into(&mut attempt.account);
            }
        });
    }

    /// When the first attempt began, if one did.
    pub fn first_attempt(&self) -> Option<Instant> {
        self.first_attempt.get().copied()
    }

    /// The attempt under way failed, and this is done about it.
    pub fn end_attempt(&self, failure: &Failure, then: &str, wait: Duration) {
        let elapsed = self.elapsed();
        self.change(|report| {
            if let Some(attempt) = report.attempts.last_mut() {
                attempt.ms = Some(elapsed.saturating_sub(attempt.at_ms));
                attempt.failure = Some(failure_report(failure));
                attempt.then = Some(then.to_owned());
                attempt.wait_ms = millis(wait);
            }
        });
    }

    /// What is known of it now.
    pub fn report(&self) -> TurnReport {
        let report = lock(&self.report).clone();
        TurnReport { ms: self.elapsed(), ..report }
    }

    /// Takes everything that is known of it, for good.
    pub fn take(&self) -> TurnReport {
        let report = std::mem::take(&mut *lock(&self.report));
        TurnReport { id: self.id.clone(), begun_ms: self.begun_ms, ms: self.elapsed(), ..report }
    }

    fn elapsed(&self) -> u64 {
        millis(clock::now().saturating_duration_since(self.begun))
    }
}

/// A failure for a document.
pub fn failure_report(failure: &Failure) -> FailureReport {
    FailureReport {
        code: failure.kind.code().to_owned(),
        status: failure.status,
        message: text::shown(&failure.message, MAX_MESSAGE),
        retry_after_ms: failure.retry_after.map(millis),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use latimer_protocol::failure::FailureKind;

    use super::*;

    #[test]
    fn a_turn_is_listed_while_it_runs_and_tells_where_it_stands() {
        let turns = RunningTurns::default();
        let turn = turns.add(1, "t1".to_owned());
        let before = turns.version().get();
        turn.begin_attempt("lab", "glm", "key-1");
        let limited = Failure {
            status: Some(429),
            retry_after: Some(Duration::from_secs(9)),
            ..Failure::new(FailureKind::RateLimited, "slow down")
        };
        turn.end_attempt(&limited, "retry", Duration::from_secs(9));
        turn.wait("lab asked for it".to_owned(), Some(Duration::from_secs(9)));
        assert!(turns.version().get() > before);
        let report = turns.find("t1").expect("listed");
        let wait = report.wait.clone().expect("it waits");
        assert_eq!((report.state, wait.until_ms), (TurnState::Waiting, Some(wait.since_ms + 9000)));
        assert_eq!(
            report.attempts[0].failure.as_ref().map(|failure| failure.code.as_str()),
            Some("rate_limited")
        );
        assert_eq!((report.attempts[0].wait_ms, report.attempts[0].then.as_deref()), (9000, Some("retry")));
        turn.begin_attempt("lab", "glm", "key-2");
        assert_eq!(turns.list(9)[0].wait, None, "it goes on");
        turns.remove(1);
        assert!(turns.list(9).is_empty() && turns.find("t1").is_none());
        assert_eq!(turn.take().attempts.len(), 2);
    }

    #[test]
    fn a_turn_that_is_tried_for_ever_keeps_its_first_attempts_and_its_last() {
        let turn = RunningTurn::default();
        for number in 0..100 {
            turn.begin_attempt("lab", &number.to_string(), "");
        }
        let models: Vec<String> = turn.take().attempts.into_iter().map(|attempt| attempt.model).collect();
        assert_eq!(models.len(), MAX_ATTEMPTS);
        assert_eq!((models[0].as_str(), models[MAX_ATTEMPTS - 1].as_str()), ("0", "99"));
    }
}
