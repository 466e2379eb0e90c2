//! Orders on their way: held back for their time, announced, offered, given, and under way.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Decision;
use super::choose::{Choice, key};
use super::detection::Detection;
use super::lifecycle::ProxyPhase;
use super::revive::is_start;
use crate::action::{Action, Order, Proposer};
use crate::guard::backoff::RemedyKey;
use crate::ids::ActionId;
use crate::rules::Remedy;
use crate::time::Time;

/// How long a person may cancel.
pub(super) const CANCEL_WINDOW: Duration = Duration::from_secs(3);
/// After this time an order without an outcome, and a question without an answer, is given up.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an offer stands.
const OFFER_LIFETIME: Duration = Duration::from_secs(3600);
/// The most orders on their way, and the most offers.
const MAX_ORDERS: usize = 64;

/// An order that waits for its time.
#[derive(Debug, Clone)]
pub(super) struct PendingOrder {
    pub(super) id: ActionId,
    pub(super) due: Time,
    pub(super) due_wall: Time,
    pub(super) action: Action,
    pub(super) by: Proposer,
    pub(super) why: String,
    pub(super) hope: SuccessCriterion,
    /// It was announced, so a person can cancel it.
    pub(super) announced: bool,
}

/// What an order is for: which fault is hoped to stay away, and for how long.
#[derive(Debug, Clone)]
pub(super) struct SuccessCriterion {
    pub(super) key: RemedyKey,
    pub(super) window: Duration,
}

/// An order that was given and is not answered.
#[derive(Debug, Clone)]
pub(super) struct InFlightOrder {
    pub(super) at: Time,
    pub(super) action: Action,
    pub(super) by: Proposer,
    pub(super) hope: Option<SuccessCriterion>,
}

/// An order that a person may accept.
#[derive(Debug, Clone)]
pub(super) struct OfferedOrder {
    pub(super) id: ActionId,
    pub(super) at: Time,
    pub(super) detection: Detection,
    pub(super) choice: Choice,
}

/// A question to a model that is not answered.
#[derive(Debug, Clone)]
pub(super) struct PendingDiagnosis {
    pub(super) id: ActionId,
    pub(super) detection: Detection,
    pub(super) at: Time,
    pub(super) cooldown: Duration,
    pub(super) window: Duration,
}

/// An order that is to be held back.
#[derive(Debug, Clone)]
pub(super) struct OrderPlan {
    pub(super) action: Action,
    pub(super) by: Proposer,
    pub(super) remedy: Remedy,
    /// For how long the fault must stay away.
    pub(super) window: Duration,
    pub(super) why: String,
    pub(super) due: Time,
    pub(super) announced: bool,
}

impl OrderPlan {
    /// A start of what is dead: not announced, and measured by a minute of life.
    pub(super) fn start(action: Action, by: Proposer, why: String, due: Time) -> Self {
        Self {
            action,
            by,
            remedy: Remedy::RestartProxy,
            window: Duration::from_secs(60),
            why,
            due,
            announced: false,
        }
    }
}

impl SuccessCriterion {
    fn of(detection: &Detection, remedy: Remedy, window: Duration) -> Self {
        // Long enough to mean something, short enough to learn from.
        let window = window.clamp(Duration::from_secs(30), Duration::from_secs(600));
        Self { key: key(detection, remedy), window }
    }
}

impl Decision<'_> {
    /// Gives an order that needs no guard: it changes nothing, or it is a person's wish.
    pub(super) fn order(
        &mut self,
        fault: Option<Fault>,
        by: Proposer,
        why: String,
        action: Action,
    ) -> ActionId {
        let id = self.next_id();
        self.give(Order { id, fault, by, why, action });
        id
    }

    /// Announces a change and holds it back, so that a person can cancel it.
    pub(super) fn announce(&mut self, action: Action, detection: &Detection, choice: Choice, why: String) {
        let Choice { remedy, by, window, .. } = choice;
        let due = self.now.plus(CANCEL_WINDOW);
        let plan =
            OrderPlan { action: action.clone(), by, remedy, window, why: why.clone(), due, announced: true };
        let id = self.hold(detection, plan);
        let at = self.wall.plus(CANCEL_WINDOW);
        self.order(Some(detection.fault()), by, why, Action::Announce { id, at, action: Box::new(action) });
    }

    /// Holds an order back until it is due.
    pub(super) fn hold(&mut self, detection: &Detection, plan: OrderPlan) -> ActionId {
        let OrderPlan { action, by, remedy, window, why, due, announced } = plan;
        let id = self.next_id();
        let hope = SuccessCriterion::of(detection, remedy, window);
        let due_wall = self.wall.plus(due.since(self.now));
        if self.state.pending.len() >= MAX_ORDERS {
            self.state.pending.remove(0);
        }
        self.state.pending.push(PendingOrder { id, due, due_wall, action, by, why, hope, announced });
        id
    }

    /// Tells a person of a change that is theirs to decide.
    pub(super) fn offer(&mut self, detection: &Detection, choice: Choice, action: &Action, why: &str) {
        if !self.state.ladder.tell(
            &key(detection, choice.remedy),
            choice.cooldown.max(OFFER_LIFETIME / 6),
            self.now,
        ) {
            return;
        }
        let id = self.next_id();
        let what = format!("{why}; proposed: {}", super::telling::words(action));
        self.state.proposals.push_back(OfferedOrder {
            id,
            at: self.now,
            detection: detection.clone(),
            choice,
        });
        if self.state.proposals.len() > MAX_ORDERS {
            self.state.proposals.pop_front();
        }
        self.tell_of_offer(detection, what, id);
    }

    /// A person accepts what was offered. It passes the guards once more, but for the settings that asked for a person.
    pub(super) fn accepted(&mut self, id: ActionId) {
        let Some(place) = self.state.proposals.iter().position(|offer| offer.id == id) else { return };
        let Some(offer) = self.state.proposals.remove(place) else { return };
        let OfferedOrder { detection, choice, .. } = offer;
        let safe_mode = self.state.restarts.in_safe_mode();
        // Made anew, so that a switch lasts from now on.
        let Some(action) = detection.action(choice.remedy, safe_mode, self.wall) else { return };
        let why = format!("accepted: {}", detection.reason());
        self.state.ladder.tried(&key(&detection, choice.remedy), choice.cooldown, self.now);
        let Choice { remedy, window, .. } = choice;
        let plan =
            OrderPlan { action, by: Proposer::Person, remedy, window, why, due: self.now, announced: false };
        self.hold(&detection, plan);
    }

    /// A person cancels what was announced. It is not tried again for a while, and nothing is learned from it.
    pub(super) fn cancelled(&mut self, id: ActionId) {
        let Some(place) = self.state.pending.iter().position(|it| it.id == id && it.announced) else {
            return;
        };
        let pending = self.state.pending.remove(place);
        self.state.ladder.rest(&pending.hope.key, Duration::from_secs(300), self.now);
    }

    /// Everything that the time brings.
    pub(super) fn due(&mut self) {
        self.state.in_flight.retain(|_, order| self.now.since(order.at) < OUTCOME_TIMEOUT);
        while self.state.proposals.front().is_some_and(|offer| self.now.since(offer.at) >= OFFER_LIFETIME) {
            self.state.proposals.pop_front();
        }
        let given_up = self.state.asked.take_if(|asked| self.now.since(asked.at) >= OUTCOME_TIMEOUT);
        if let Some(asked) = given_up {
            self.tell_of(&asked.detection, Remedy::AlertUser, None, asked.cooldown);
        }
        self.state.probing.take_if(|(_, at)| self.now.since(*at) >= OUTCOME_TIMEOUT);
        self.stayed_away();
        self.look_for_the_forgotten();
        while let Some(place) = self.state.pending.iter().position(|pending| pending.due <= self.now) {
            let pending = self.state.pending.remove(place);
            self.release(pending);
        }
    }

    /// The time of an order has come: the guards once more, then it goes out.
    fn release(&mut self, pending: PendingOrder) {
        let PendingOrder { id, action, by, why, hope, .. } = pending;
        let fault = hope.key.pattern.fault;
        let person = by == Proposer::Person;
        let phase = self.state.life.phase;
        if phase == ProxyPhase::Stopped && hope.key.remedy.needs_proxy() {
            return;
        }
        if !person && self.state.silenced.covers(fault, self.wall) {
            return;
        }
        match &action {
            Action::Start { safe_mode } | Action::Restart { safe_mode, .. } => {
                if !person && self.state.restarts.room(self.now).is_err() {
                    return;
                }
                self.state.restarts.started(self.now, *safe_mode);
                self.state.life.safe_mode = *safe_mode;
                self.state.life.phase = ProxyPhase::Unknown;
                self.enter(ProxyPhase::Starting);
            }
            Action::Replace => {
                if !person && self.state.restarts.room(self.now).is_err() {
                    return;
                }
                self.state.restarts.started(self.now, false);
            }
            _ => {}
        }
        self.send(Order { id, fault: Some(fault), by, why, action }, Some(hope));
    }

    /// Gives an order and waits for its outcome.
    pub(super) fn send(&mut self, order: Order, hope: Option<SuccessCriterion>) {
        let flight = InFlightOrder { at: self.now, action: order.action.clone(), by: order.by, hope };
        self.state.in_flight.insert(order.id, flight);
        if self.state.in_flight.len() > MAX_ORDERS {
            self.state.in_flight.pop_first();
        }
        self.give(order);
    }

    /// This is being done for this pattern already.
    pub(super) fn is_handled(&self, key: &RemedyKey) -> bool {
        let pending = self.state.pending.iter().any(|it| it.hope.key == *key);
        pending
            || self
                .state
                .in_flight
                .values()
                .any(|order| order.hope.as_ref().is_some_and(|hope| hope.key == *key))
    }

    pub(super) fn is_pending(&self, which: impl Fn(&Action) -> bool) -> bool {
        self.state.pending.iter().any(|pending| which(&pending.action))
    }

    pub(super) fn is_in_flight(&self, which: impl Fn(&Action) -> bool) -> bool {
        self.state.in_flight.values().any(|order| which(&order.action))
    }

    /// Forgets every order that waits for its time.
    pub(super) fn drop_pending(&mut self) {
        self.state.pending.clear();
    }

    /// Forgets the starts that wait for their time: a proxy is there.
    pub(super) fn drop_starts(&mut self) {
        self.state.pending.retain(|pending| !is_start(&pending.action));
    }
}
