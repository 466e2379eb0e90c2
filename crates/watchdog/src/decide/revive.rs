//! What is dead is started again, within the guard of restarts; when that says no, the port is held.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Moment;
use super::lifecycle::Phase;
use super::orders::Plan;
use super::sighting::Sighting;
use crate::action::{Action, By, Level};
use crate::guard::restarts::Verdict;

/// A proxy that is down and that nobody is starting is started after this time: an outcome was lost.
const FORGOTTEN: Duration = Duration::from_secs(60);

impl Moment<'_> {
    pub(super) fn config_changed(&mut self) {
        if self.state.life.phase == Phase::Held {
            self.state.restarts.forget();
            self.start_later(Duration::ZERO, "what it failed on was changed".to_owned(), None);
        }
    }

    /// The proxy is dead, or hangs, or could not be started: start it as soon as the guard allows.
    pub(super) fn revive(&mut self, sighting: &Sighting, by: By) {
        let pattern = &sighting.pattern;
        if self.is_pending(is_start) {
            return;
        }
        if !self.state.settings.auto_restart {
            self.tell(sighting, Level::Urgent, Some("latimer-watchdog start"), Duration::from_secs(300));
            return;
        }
        let what = sighting.what.clone().unwrap_or_else(|| pattern.fault.title().to_owned());
        // While something of it still runs, it has to be ended first.
        let runs = matches!(self.state.life.phase, Phase::Starting | Phase::Up);
        let was_safe = self.state.restarts.in_safe_mode();
        match self.state.restarts.crashed(self.now) {
            Verdict::Start { after, safe_mode } => {
                let action = if runs {
                    Action::Restart { safe_mode, hung: true }
                } else {
                    Action::Start { safe_mode }
                };
                self.enter(Phase::Down);
                self.state.life.down_by = Some(pattern.fault);
                let plan = Plan::start(action, by, what.clone(), self.now.plus(after));
                self.hold(sighting, plan);
                if safe_mode && !was_safe {
                    let crashes = self.state.restarts.crashes();
                    let what =
                        format!("the proxy ended {crashes} times in a minute; it is tried in safe mode");
                    let run = "latimer check, then latimer-watchdog restart to leave safe mode".to_owned();
                    self.tell_plainly(Level::Warning, what, run);
                } else {
                    let mut again = sighting.clone();
                    again.what = Some(format!("{what}; it is started again"));
                    again.run = Some("latimer-watchdog status".to_owned());
                    self.tell(&again, Level::Info, None, Duration::from_secs(30));
                }
            }
            Verdict::Hold { starts } => {
                self.drop_pending();
                self.enter(Phase::Held);
                if runs {
                    let why = "it does not answer, and the port is going to".to_owned();
                    self.order(Some(pattern.fault), By::Guard, why, Action::Stop);
                }
                let cause =
                    format!("{what}; it was started {starts} times in ten minutes and is not started again");
                let run = "latimer check, then latimer-watchdog start".to_owned();
                self.order(Some(pattern.fault), By::Guard, what, Action::HoldPort { cause: cause.clone() });
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
        let sighting = Sighting::of(fault.unwrap_or(Fault::ProxyGone));
        let due = self.now.plus(after);
        let action = self.bring_up(safe_mode, true);
        self.hold(&sighting, Plan::start(action, By::Rule, why, due));
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
        if life.phase == Phase::Down && self.now.since(life.since) >= FORGOTTEN && !silenced {
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
