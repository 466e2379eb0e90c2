//! What a person says goes before everything: it passes no guard but their own earlier word.

use super::Moment;
use super::lifecycle::Phase;
use crate::action::{Action, By, Order};
use crate::signal::Person;

impl Moment<'_> {
    pub(super) fn person(&mut self, person: &Person) {
        let runs = matches!(self.state.life.phase, Phase::Starting | Phase::Up);
        match person {
            Person::Stop => self.stop(),
            Person::Start => {
                if !runs {
                    self.state.restarts.forget();
                    self.start();
                }
            }
            Person::Restart => {
                self.state.restarts.forget();
                if runs {
                    self.wish(Action::Restart { safe_mode: false, hung: false });
                    self.state.life.phase = Phase::Unknown;
                    self.enter(Phase::Starting);
                } else {
                    self.start();
                }
            }
            Person::Upgrade => {
                if runs {
                    self.wish(Action::Replace);
                } else {
                    self.start();
                }
            }
            Person::Silence { fault, until } => self.state.silenced.silence(*fault, *until),
            Person::Unsilence { fault } => self.state.silenced.unsilence(*fault),
            Person::Cancelled { id } => self.cancelled(*id),
            Person::Accepted { id } => self.accepted(*id),
        }
    }

    fn stop(&mut self) {
        self.drop_pending();
        self.state.in_flight.clear();
        self.state.trials.clear();
        self.state.asked = None;
        self.state.probing = None;
        self.enter(Phase::Stopped);
        self.wish(Action::Stop);
    }

    fn start(&mut self) {
        self.drop_starts();
        self.state.life.safe_mode = false;
        // What was stopped may still be draining, and what hangs is still there.
        let action = self.bring_up(false, self.state.life.phase == Phase::Held);
        self.wish(action);
        self.enter(Phase::Starting);
    }

    fn wish(&mut self, action: Action) {
        let id = self.next_id();
        let order =
            Order { id, fault: None, by: By::Person, why: "asked for by a person".to_owned(), action };
        self.send(order, None);
    }
}
