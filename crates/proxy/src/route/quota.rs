//! What is known of the allowances of keys and accounts: the last word on each, the pace at which it is used, and whether so little is
//! left that others are asked first. Pure: times come in.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use latimer_protocol::quota::{QuotaReading, QuotaScope};
use latimer_protocol::status::{AccountQuota, QuotaWindow};
use serde::{Deserialize, Serialize};

use crate::sync::lock;

/// An account of which no more is left, of a hundred, is not the first that is asked.
const LOW_PERCENT: f64 = 5.0;
/// Accounts that are remembered.
const MAX_ACCOUNTS: usize = 1024;
/// Allowances of one account that are remembered.
const MAX_WINDOWS: usize = 64;
/// A word on an allowance is old after so many seconds; on one of minutes sooner.
const STALE_AFTER: u64 = 3600;
const BURST_STALE_AFTER: u64 = 120;
/// From less time and less use no pace is reckoned.
const MIN_PACE_SECONDS: u64 = 300;
const MIN_PACE_PERCENT: f64 = 0.5;

/// Where a word on an allowance came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// A header of an answer.
    Header,
    /// The provider was asked.
    Asked,
}

/// The allowances of all accounts, by their fingerprints.
#[derive(Debug, Default)]
pub struct Quotas {
    accounts: Mutex<HashMap<String, KnownAccount>>,
    /// Accounts with little left, when last something was said: as long as there is none, nobody looks further.
    low: AtomicU64,
}

/// One account, as it stands in a file too.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownAccount {
    endpoint: String,
    account: String,
    windows: Vec<KnownWindow>,
    /// When the provider was asked last, in Unix seconds.
    asked_at: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KnownWindow {
    reading: QuotaReading,
    seen_at: u64,
    source: QuotaSource,
    /// When this window was first seen, and what was left then.
    first: Option<(u64, f64)>,
}

/// Whose allowances are told.
#[derive(Debug, Clone, Copy)]
pub struct QuotaOwner<'o> {
    /// Under which an account is remembered.
    pub fingerprint: &'o str,
    /// The endpoint that it was used on.
    pub endpoint: &'o str,
    /// As people call it.
    pub account: &'o str,
}

/// An allowance of which little is left.
#[derive(Debug, Clone, PartialEq)]
pub struct LowQuota {
    /// As people call it.
    pub name: String,
    /// How much is left, of a hundred.
    pub percent: f64,
}

impl LowQuota {
    /// In words.
    pub fn words(&self) -> String {
        format!("{:.0} % is left of its allowance ({})", self.percent, self.name)
    }
}

impl Quotas {
    /// From a file.
    pub fn load(saved: HashMap<String, KnownAccount>, now: u64) -> Self {
        let accounts: HashMap<_, _> = saved.into_iter().take(MAX_ACCOUNTS).collect();
        let low = count_low(&accounts, now);
        Self { accounts: Mutex::new(accounts), low: AtomicU64::new(low) }
    }

    /// For a file.
    pub fn save(&self) -> HashMap<String, KnownAccount> {
        lock(&self.accounts).clone()
    }

    /// A provider said something at this time, in Unix seconds.
    pub fn note(&self, owner: QuotaOwner<'_>, readings: Vec<QuotaReading>, source: QuotaSource, now: u64) {
        if readings.is_empty() {
            return;
        }
        let mut accounts = lock(&self.accounts);
        if let Some(known) = entry(&mut accounts, owner) {
            for reading in readings {
                known.note(reading, source, now);
            }
        }
        self.low.store(count_low(&accounts, now), Ordering::Relaxed);
    }

    /// Whether the provider is to be asked, because it was not for so many seconds. It counts as asked then.
    pub fn begin_asking(&self, owner: QuotaOwner<'_>, max_age: u64, now: u64) -> bool {
        let mut accounts = lock(&self.accounts);
        let Some(known) = entry(&mut accounts, owner) else { return false };
        let is_due = now.saturating_sub(known.asked_at) >= max_age || known.asked_at > now;
        if is_due {
            known.asked_at = now;
        }
        is_due
    }

    /// The allowance of an account of which so little is left that others are asked first.
    pub fn low(&self, fingerprint: &str, model: Option<&str>, now: u64) -> Option<LowQuota> {
        if self.low.load(Ordering::Relaxed) == 0 {
            return None;
        }
        lock(&self.accounts).get(fingerprint)?.low(model, now)
    }

    /// What is told of an account.
    pub fn report(&self, owner: QuotaOwner<'_>, now: u64) -> AccountQuota {
        let accounts = lock(&self.accounts);
        let windows = accounts.get(owner.fingerprint).map(|known| known.report(now));
        AccountQuota {
            endpoint: owner.endpoint.to_owned(),
            account: owner.account.to_owned(),
            windows: windows.unwrap_or_default(),
        }
    }
}

fn entry<'a>(
    accounts: &'a mut HashMap<String, KnownAccount>,
    owner: QuotaOwner<'_>,
) -> Option<&'a mut KnownAccount> {
    if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(owner.fingerprint) {
        return None;
    }
    let known = accounts.entry(owner.fingerprint.to_owned()).or_default();
    owner.endpoint.clone_into(&mut known.endpoint);
    owner.account.clone_into(&mut known.account);
    Some(known)
}

fn count_low(accounts: &HashMap<String, KnownAccount>, now: u64) -> u64 {
    accounts.values().filter(|known| known.windows.iter().any(|window| window.is_low(now))).count() as u64
}

impl KnownAccount {
    fn note(&mut self, reading: QuotaReading, source: QuotaSource, now: u64) {
        let is_same = |known: &&mut KnownWindow| {
            let known = &known.reading;
            known.name == reading.name && known.model == reading.model && known.unit == reading.unit
        };
        let left = reading.remaining_percent.or(reading.remaining);
        let begin = left.map(|left| (now, left));
        if let Some(known) = self.windows.iter_mut().find(is_same) {
            let before = known.reading.remaining_percent.or(known.reading.remaining);
            // More than before: it was filled up meanwhile.
            let is_new = known.reading.resets_at.is_some_and(|at| at <= now)
                || before.zip(left).is_some_and(|(before, left)| left > before + MIN_PACE_PERCENT);
            let first = if is_new { begin } else { known.first.or(begin) };
            *known = KnownWindow { reading, seen_at: now, source, first };
        } else if self.windows.len() < MAX_WINDOWS {
            self.windows.push(KnownWindow { reading, seen_at: now, source, first: begin });
        }
    }

    fn low(&self, model: Option<&str>, now: u64) -> Option<LowQuota> {
        let concerns = |window: &&KnownWindow| {
            window.reading.model.as_deref().is_none_or(|of| Some(of) == model) && window.is_low(now)
        };
        let lowest = self.windows.iter().filter(concerns).min_by(|a, b| a.share().total_cmp(&b.share()))?;
        Some(LowQuota { name: lowest.reading.name.clone(), percent: lowest.share() })
    }

    /// Its allowances, the longest first.
    pub fn report(&self, now: u64) -> Vec<QuotaWindow> {
        let mut windows: Vec<QuotaWindow> = self.windows.iter().map(|window| window.report(now)).collect();
        windows.sort_by_key(|window| std::cmp::Reverse(window.reading.scope));
        windows
    }

    /// The same, of an account in a file.
    pub fn report_of_file(&self, now: u64) -> AccountQuota {
        AccountQuota {
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            windows: self.report(now),
        }
    }
}

impl KnownWindow {
    fn share(&self) -> f64 {
        self.reading.remaining_percent.unwrap_or(100.0)
    }

    fn is_back(&self, now: u64) -> bool {
        self.reading.resets_at.is_some_and(|at| at <= now)
    }

    fn is_stale(&self, now: u64) -> bool {
        let limit = if self.reading.scope == QuotaScope::Burst { BURST_STALE_AFTER } else { STALE_AFTER };
        self.is_back(now) || now.saturating_sub(self.seen_at) > limit
    }

    /// A share that was small an hour ago and is not back yet is still small.
    fn is_low(&self, now: u64) -> bool {
        let holds = self.reading.resets_at.map_or(!self.is_stale(now), |at| at > now);
        self.reading.scope.is_lasting() && holds && self.share() <= LOW_PERCENT
    }

    fn report(&self, now: u64) -> QuotaWindow {
        let source = match self.source {
            QuotaSource::Header => "header",
            QuotaSource::Asked => "asked",
        };
        QuotaWindow {
            reading: self.reading.clone(),
            seen_at: self.seen_at,
            source: source.to_owned(),
            stale: self.is_stale(now),
            runs_out_at: if self.is_stale(now) { None } else { self.runs_out_at() },
        }
    }

    /// When nothing is left at the pace of this window; `None` where it lasts until it is back, or where nobody knows.
    fn runs_out_at(&self) -> Option<u64> {
        if self.reading.scope == QuotaScope::Burst {
            return None;
        }
        let left = self.reading.remaining_percent.or(self.reading.remaining)?;
        let (seconds, used) = self.whole_window().or_else(|| self.since_first_seen(left))?;
        if seconds < MIN_PACE_SECONDS || used < MIN_PACE_PERCENT {
            return None;
        }
        let lasts = left * std::time::Duration::from_secs(seconds).as_secs_f64() / used;
        let lasts = std::time::Duration::try_from_secs_f64(lasts).ok()?.as_secs();
        let at = self.seen_at.checked_add(lasts)?;
        self.reading.resets_at.is_none_or(|back| at < back).then_some(at)
    }

    /// How long the window has lasted, and how much of a hundred was used in it.
    fn whole_window(&self) -> Option<(u64, f64)> {
        let left = self.reading.resets_at?.checked_sub(self.seen_at)?;
        let lasted = self.reading.window_s?.checked_sub(left)?;
        Some((lasted, 100.0 - self.reading.remaining_percent?))
    }

    fn since_first_seen(&self, left: f64) -> Option<(u64, f64)> {
        let (at, then) = self.first?;
        Some((self.seen_at.saturating_sub(at), then - left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const OWNER: QuotaOwner<'static> = QuotaOwner { fingerprint: "f", endpoint: "lab", account: "key-1" };

    fn week(percent: f64) -> QuotaReading {
        QuotaReading {
            name: "week".to_owned(),
            scope: QuotaScope::Week,
            remaining_percent: Some(percent),
            resets_at: Some(NOW + 86_400),
            ..QuotaReading::default()
        }
    }

    fn money(left: f64) -> QuotaReading {
        QuotaReading {
            name: "balance".to_owned(),
            scope: QuotaScope::Balance,
            remaining: Some(left),
            ..QuotaReading::default()
        }
        .settled()
    }

    fn runs_out(quotas: &Quotas, now: u64) -> Option<u64> {
        quotas.report(OWNER, now).windows[0].runs_out_at.map(|at| at - now)
    }

    #[test]
    fn little_left_is_low_until_it_is_back() {
        let quotas = Quotas::default();
        quotas.note(OWNER, vec![week(6.0)], QuotaSource::Header, NOW);
        assert_eq!(quotas.low("f", None, NOW), None);
        quotas.note(OWNER, vec![week(2.0)], QuotaSource::Header, NOW);
        let low = quotas.low("f", Some("m"), NOW + 7200).expect("also two hours later");
        assert_eq!(low.words(), "2 % is left of its allowance (week)");
        assert_eq!((quotas.low("f", None, NOW + 86_401), quotas.low("other", None, NOW)), (None, None));
        let report = quotas.report(OWNER, NOW + 86_401);
        assert!(report.windows[0].stale && report.remaining_percent().is_none(), "it is back");
    }

    #[test]
    fn an_allowance_of_one_model_concerns_that_model_alone() {
        let quotas = Quotas::default();
        let reading = QuotaReading { model: Some("pro".to_owned()), ..week(1.0) };
        quotas.note(OWNER, vec![reading], QuotaSource::Asked, NOW);
        assert!(quotas.low("f", Some("pro"), NOW).is_some());
        assert!(quotas.low("f", Some("flash"), NOW).is_none() && quotas.low("f", None, NOW).is_none());
    }

    #[test]
    fn seconds_are_no_reason_to_go_elsewhere() {
        let quotas = Quotas::default();
        let burst = QuotaReading { scope: QuotaScope::Burst, ..week(0.0) };
        quotas.note(OWNER, vec![burst], QuotaSource::Header, NOW);
        assert_eq!(quotas.low("f", None, NOW), None);
    }

    #[test]
    fn the_pace_says_when_it_runs_out() {
        let quotas = Quotas::default();
        // A window of five hours: in its first hour half was used.
        let session = |percent| QuotaReading {
            scope: QuotaScope::Session,
            window_s: Some(18_000),
            resets_at: Some(NOW + 14_400),
            ..week(percent)
        };
        quotas.note(OWNER, vec![session(50.0)], QuotaSource::Header, NOW);
        assert_eq!(runs_out(&quotas, NOW), Some(3600));
        quotas.note(OWNER, vec![session(90.0)], QuotaSource::Header, NOW);
        assert_eq!(runs_out(&quotas, NOW), None, "it lasts");

        let quotas = Quotas::default();
        quotas.note(OWNER, vec![money(10.0)], QuotaSource::Asked, NOW);
        assert_eq!(runs_out(&quotas, NOW), None, "one look has no pace");
        quotas.note(OWNER, vec![money(8.0)], QuotaSource::Asked, NOW + 600);
        assert_eq!(runs_out(&quotas, NOW + 600), Some(2400));
        quotas.note(OWNER, vec![money(50.0)], QuotaSource::Asked, NOW + 700);
        assert_eq!(runs_out(&quotas, NOW + 700), None, "somebody paid: it begins anew");
        assert!(quotas.report(OWNER, NOW + 9000).windows[0].stale);
    }

    #[test]
    fn a_provider_is_asked_once_in_a_while() {
        let quotas = Quotas::default();
        assert!(quotas.begin_asking(OWNER, 60, NOW) && !quotas.begin_asking(OWNER, 60, NOW + 59));
        assert!(quotas.begin_asking(OWNER, 60, NOW + 60));
        let again = Quotas::load(quotas.save(), NOW);
        assert!(!again.begin_asking(OWNER, 60, NOW + 61));
    }
}
