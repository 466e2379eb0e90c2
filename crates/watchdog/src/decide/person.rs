//! What a person says goes before everything: it passes no guard but their own earlier word.

use super::Decision;
use super::lifecycle::ProxyPhase;
use crate::action::{Action, Order, Proposer};
use crate::signal::PersonRequest;

impl Decision<'_> {
    pub(super) fn person(&mut self, person: &PersonRequest) {
        let runs = matches!(self.state.life.phase, ProxyPhase::Starting | ProxyPhase::Up);
        match person {
            PersonRequest::Stop => self.stop(),
            PersonRequest::Start => {
                if !runs {
                    self.state.restarts.forget();
                    self.start();
                }
            }
            PersonRequest::Restart => {
                self.state.restarts.forget();
                if runs {
                    self.wish(Action::Restart { safe_mode: false, hung: false });
                    self.state.life.phase = ProxyPhase::Unknown;
                    self.enter(ProxyPhase::Starting);
                } else {
                    self.start();
                }
            }
            PersonRequest::Upgrade => {
                if runs {
                    self.wish(Action::Replace);
                } else {
                    self.start();
                }
            }
            PersonRequest::Silence { fault, until } => self.state.silenced.silence(*fault, *until),
            PersonRequest::Unsilence { fault } => self.state.silenced.unsilence(*fault),
            PersonRequest::Cancelled { id } => self.cancelled(*id),
            PersonRequest::Accepted { id } => self.accepted(*id),
        }
    }

    fn stop(&mut self) {
        self.drop_pending();
        self.state.in_flight.clear();
        self.state.trials.clear();
        self.state.asked = None;
        self.state.probing = None;
        self.enter(ProxyPhase::Stopped);
        self.wish(Action::Stop);
    }

    fn start(&mut self) {
        self.drop_starts();
        self.state.life.safe_mode = false;
        // What was stopped may still be draining, and what hangs is still there.
        let action = self.bring_up(false, self.state.life.phase == ProxyPhase::Held);
        self.wish(action);
        self.enter(ProxyPhase::Starting);
    }

    fn wish(&mut self, action: Action) {
        let id = self.next_id();
        let order =
            Order { id, fault: None, by: Proposer::Person, why: "asked for by a person".to_owned(), action };
        self.send(order, None);
    }
}
