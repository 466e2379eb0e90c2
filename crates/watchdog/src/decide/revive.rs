//! What is dead is started again, within the guard of restarts; when that says no, the port is held.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Decision;
use super::detection::Detection;
use super::lifecycle::ProxyPhase;
use super::orders::OrderPlan;
use crate::action::{Action, Level, Proposer};
use crate::guard::restarts::RestartVerdict;

/// A proxy that is down and that nobody is starting is started after this time: an outcome was lost.
const LOST_OUTCOME_TIMEOUT: Duration = Duration::from_secs(60);

impl Decision<'_> {
    pub(super) fn config_changed(&mut self) {
        if self.state.life.phase == ProxyPhase::Held {
            self.state.restarts.forget();
            self.start_later(Duration::ZERO, "what it failed on was changed".to_owned(), None);
        }
    }

    /// The proxy is dead, or hangs, or could not be started: start it as soon as the guard allows.
    pub(super) fn revive(&mut self, detection: &Detection, by: Proposer) {
        let pattern = &detection.pattern;
        if self.is_pending(is_start) {
            return;
        }
        if !self.state.settings.auto_restart {
            self.tell(detection, Level::Urgent, Some("latimer-watchdog start"), Duration::from_secs(300));
            return;
        }
        let what = detection.what.clone().unwrap_or_else(|| pattern.fault.title().to_owned());
        // While something of it still runs, it has to be ended first.
        let runs = matches!(self.state.life.phase, ProxyPhase::Starting | ProxyPhase::Up);
        let was_safe = self.state.restarts.in_safe_mode();
        match self.state.restarts.crashed(self.now) {
            RestartVerdict::Start { after, safe_mode } => {
                let action = if runs {
                    Action::Restart { safe_mode, hung: true }
                } else {
                    Action::Start { safe_mode }
                };
                self.enter(ProxyPhase::Down);
                self.state.life.down_by = Some(pattern.fault);
                let plan = OrderPlan::start(action, by, what.clone(), self.now.plus(after));
                self.hold(detection, plan);
                if safe_mode && !was_safe {
                    let crashes = self.state.restarts.crashes();
                    let what =
                        format!("the proxy ended {crashes} times in a minute; it is tried in safe mode");
                    let run = "latimer check, then latimer-watchdog restart to leave safe mode".to_owned();
                    self.tell_plainly(Level::Warning, what, run);
                } else {
                    let mut again = detection.clone();
                    again.what = Some(format!("{what}; it is started again"));
                    again.run = Some("latimer-watchdog status".to_owned());
                    self.tell(&again, Level::Info, None, Duration::from_secs(30));
                }
            }
            RestartVerdict::Hold { starts } => {
                self.drop_pending();
                self.enter(ProxyPhase::Held);
                if runs {
                    let why = "it does not answer, and the port is going to".to_owned();
                    self.order(Some(pattern.fault), Proposer::Guard, why, Action::Stop);
                }
                let cause =
                    format!("{what}; it was started {starts} times in ten minutes and is not started again");
                let run = "latimer check, then latimer-watchdog start".to_owned();
                self.order(
                    Some(pattern.fault),
                    Proposer::Guard,
                    what,
                    Action::HoldPort { cause: cause.clone() },
                );
                self.tell_plainly(Level::Urgent, cause, run);
            }
        }
    }

    /// A start that nobody has to be asked for, if there is room for one.
    pub(super) fn start_later(&mut self, after: Duration, why: String, fault: Option<Fault>) {
        if self.is_pending(is_start) || self.is_in_flight(is_start) || !self.state.settings.auto_restart {
            return;
        }
        let safe_mode = self.state.restarts.in_safe_mode();
        let detection = Detection::of(fault.unwrap_or(Fault::ProxyGone));
        let due = self.now.plus(after);
        let action = self.bring_up(safe_mode, true);
        self.hold(&detection, OrderPlan::start(action, Proposer::Rule, why, due));
    }

    /// A start; of a process that is not known to be gone, its end before.
    pub(super) fn bring_up(&self, safe_mode: bool, hung: bool) -> Action {
        match self.state.life.pid {
            None => Action::Start { safe_mode },
            Some(_) => Action::Restart { safe_mode, hung },
        }
    }

    /// Called with the time: a proxy that is down and forgotten.
    pub(super) fn look_for_the_forgotten(&mut self) {
        let life = &self.state.life;
        let fault = life.down_by.unwrap_or(Fault::ProxyGone);
        let silenced = self.state.silenced.covers(fault, self.wall);
        if life.phase == ProxyPhase::Down && self.now.since(life.since) >= LOST_OUTCOME_TIMEOUT && !silenced {
            let fault = Some(fault);
            self.start_later(
                Duration::ZERO,
                "the proxy is down, and nothing else starts it".to_owned(),
                fault,
            );
        }
    }
}

/// It brings up a proxy.
pub(super) fn is_start(action: &Action) -> bool {
    matches!(action, Action::Start { .. } | Action::Restart { .. })
}
