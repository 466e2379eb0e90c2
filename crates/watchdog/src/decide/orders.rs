//! Orders on their way: held back for their time, announced, offered, given, and under way.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Moment;
use super::choose::{Choice, key};
use super::lifecycle::Phase;
use super::revive::is_start;
use super::sighting::Sighting;
use crate::action::{Action, ActionId, By, Order};
use crate::guard::ladder::Key;
use crate::rules::Remedy;
use crate::time::Time;

/// How long a person may cancel.
pub(super) const CANCEL_WITHIN: Duration = Duration::from_secs(3);
/// After this time an order without an outcome, and a question without an answer, is given up.
const GIVEN_UP: Duration = Duration::from_secs(120);
/// How long an offer stands.
const OFFER_FOR: Duration = Duration::from_secs(3600);
/// The most orders on their way, and the most offers.
const MOST: usize = 64;

/// An order that waits for its time.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) id: ActionId,
    pub(super) due: Time,
    pub(super) due_wall: Time,
    pub(super) action: Action,
    pub(super) by: By,
    pub(super) why: String,
    pub(super) hope: Hope,
    /// It was announced, so a person can cancel it.
    pub(super) announced: bool,
}

/// What an order is for: which fault is hoped to stay away, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Hope {
    pub(super) key: Key,
    pub(super) window: Duration,
}

/// An order that was given and is not answered.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub(super) at: Time,
    pub(super) action: Action,
    pub(super) by: By,
    pub(super) hope: Option<Hope>,
}

/// An order that a person may accept.
#[derive(Debug, Clone)]
pub(super) struct Proposed {
    pub(super) id: ActionId,
    pub(super) at: Time,
    pub(super) sighting: Sighting,
    pub(super) choice: Choice,
}

/// A question to a model that is not answered.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: ActionId,
    pub(super) sighting: Sighting,
    pub(super) at: Time,
    pub(super) cooldown: Duration,
    pub(super) window: Duration,
}

/// An order that is to be held back.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) action: Action,
    pub(super) by: By,
    pub(super) remedy: Remedy,
    /// For how long the fault must stay away.
    pub(super) window: Duration,
    pub(super) why: String,
    pub(super) due: Time,
    pub(super) announced: bool,
}

impl Plan {
    /// A start of what is dead: not announced, and measured by a minute of life.
    pub(super) fn start(action: Action, by: By, why: String, due: Time) -> Self {
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

impl Hope {
    fn of(sighting: &Sighting, remedy: Remedy, window: Duration) -> Self {
        // Long enough to mean something, short enough to learn from.
        let window = window.clamp(Duration::from_secs(30), Duration::from_secs(600));
        Self { key: key(sighting, remedy), window }
    }
}

impl Moment<'_> {
    /// Gives an order that needs no guard: it changes nothing, or it is a person's wish.
    pub(super) fn order(&mut self, fault: Option<Fault>, by: By, why: String, action: Action) -> ActionId {
        let id = self.next_id();
        self.give(Order { id, fault, by, why, action });
        id
    }

    /// Announces a change and holds it back, so that a person can cancel it.
    pub(super) fn announce(&mut self, action: Action, sighting: &Sighting, choice: Choice, why: String) {
        let Choice { remedy, by, window, .. } = choice;
        let due = self.now.plus(CANCEL_WITHIN);
        let plan =
            Plan { action: action.clone(), by, remedy, window, why: why.clone(), due, announced: true };
        let id = self.hold(sighting, plan);
        let at = self.wall.plus(CANCEL_WITHIN);
        self.order(Some(sighting.fault()), by, why, Action::Announce { id, at, action: Box::new(action) });
    }

    /// Holds an order back until it is due.
    pub(super) fn hold(&mut self, sighting: &Sighting, plan: Plan) -> ActionId {
        let Plan { action, by, remedy, window, why, due, announced } = plan;
        let id = self.next_id();
        let hope = Hope::of(sighting, remedy, window);
        let due_wall = self.wall.plus(due.since(self.now));
        if self.state.pending.len() >= MOST {
            self.state.pending.remove(0);
        }
        self.state.pending.push(Pending { id, due, due_wall, action, by, why, hope, announced });
        id
    }

    /// Tells a person of a change that is theirs to decide.
    pub(super) fn offer(&mut self, sighting: &Sighting, choice: Choice, action: &Action, why: &str) {
        if !self.state.ladder.tell(
            &key(sighting, choice.remedy),
            choice.cooldown.max(OFFER_FOR / 6),
            self.now,
        ) {
            return;
        }
        let id = self.next_id();
        let what = format!("{why}; proposed: {}", super::telling::words(action));
        self.state.proposals.push_back(Proposed { id, at: self.now, sighting: sighting.clone(), choice });
        if self.state.proposals.len() > MOST {
            self.state.proposals.pop_front();
        }
        self.tell_of_offer(sighting, what, id);
    }

    /// A person accepts what was offered. It passes the guards once more, but for the settings that asked for a person.
    pub(super) fn accepted(&mut self, id: ActionId) {
        let Some(place) = self.state.proposals.iter().position(|offer| offer.id == id) else { return };
        let Some(offer) = self.state.proposals.remove(place) else { return };
        let Proposed { sighting, choice, .. } = offer;
        let safe_mode = self.state.restarts.in_safe_mode();
        // Made anew, so that a switch lasts from now on.
        let Some(action) = sighting.action(choice.remedy, safe_mode, self.wall) else { return };
        let why = format!("accepted: {}", sighting.reason());
        self.state.ladder.tried(&key(&sighting, choice.remedy), choice.cooldown, self.now);
        let Choice { remedy, window, .. } = choice;
        let plan = Plan { action, by: By::Person, remedy, window, why, due: self.now, announced: false };
        self.hold(&sighting, plan);
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
        self.state.in_flight.retain(|_, order| self.now.since(order.at) < GIVEN_UP);
        while self.state.proposals.front().is_some_and(|offer| self.now.since(offer.at) >= OFFER_FOR) {
            self.state.proposals.pop_front();
        }
        let given_up = self.state.asked.take_if(|asked| self.now.since(asked.at) >= GIVEN_UP);
        if let Some(asked) = given_up {
            self.tell_of(&asked.sighting, Remedy::AlertUser, None, asked.cooldown);
        }
        self.state.probing.take_if(|(_, at)| self.now.since(*at) >= GIVEN_UP);
        self.stayed_away();
        self.look_for_the_forgotten();
        while let Some(place) = self.state.pending.iter().position(|pending| pending.due <= self.now) {
            let pending = self.state.pending.remove(place);
            self.release(pending);
        }
    }

    /// The time of an order has come: the guards once more, then it goes out.
    fn release(&mut self, pending: Pending) {
        let Pending { id, action, by, why, hope, .. } = pending;
        let fault = hope.key.pattern.fault;
        let person = by == By::Person;
        let phase = self.state.life.phase;
        if phase == Phase::Stopped && hope.key.remedy.needs_proxy() {
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
                self.state.life.phase = Phase::Unknown;
                self.enter(Phase::Starting);
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
    pub(super) fn send(&mut self, order: Order, hope: Option<Hope>) {
        let flight = InFlight { at: self.now, action: order.action.clone(), by: order.by, hope };
        self.state.in_flight.insert(order.id, flight);
        if self.state.in_flight.len() > MOST {
            self.state.in_flight.pop_first();
        }
        self.give(order);
    }

    /// This is being done for this pattern already.
    pub(super) fn is_handled(&self, key: &Key) -> bool {
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
