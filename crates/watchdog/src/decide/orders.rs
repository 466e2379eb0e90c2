//! Orders on their way: held back for their time, announced, offered, given, and under way.
//!
//! This part knows neither guards nor the proxy: who holds an order here has asked them, and asks them again when it is due.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use latimer_protocol::status::Fault;

use super::choice::Choice;
use super::clock::Clocks;
use super::detection::Detection;
use crate::action::{Action, Order, Proposer};
use crate::guard::backoff::RemedyKey;
use crate::ids::ActionId;
use crate::pattern::{Pattern, plain};
use crate::rules::Remedy;
use crate::time::Time;

/// How long a person may cancel.
const CANCEL_WINDOW: Duration = Duration::from_secs(3);
/// After this time an order without an outcome, and a question without an answer, is given up.
pub(super) const OUTCOME_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an offer stands.
pub(super) const OFFER_LIFETIME: Duration = Duration::from_secs(3600);
/// The most orders on their way, and the most offers.
const MAX_ORDERS: usize = 64;
/// The longest reason, in characters.
const MAX_SENTENCE_CHARS: usize = 500;

/// What an order is for: which fault is to stay away after a remedy, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SuccessCriterion {
    /// The remedy and the pattern it is for.
    pub(super) key: RemedyKey,
    /// For so long the pattern must not be seen.
    pub(super) window: Duration,
}

impl SuccessCriterion {
    fn of(detection: &Detection, remedy: Remedy, window: Duration) -> Self {
        // Long enough to mean something, short enough to learn from.
        let window = window.clamp(Duration::from_secs(30), Duration::from_secs(600));
        Self { key: detection.key(remedy), window }
    }
}

/// An order that waits for its time.
#[derive(Debug, Clone)]
pub(super) struct PendingOrder {
    pub(super) id: ActionId,
    pub(super) due: Time,
    pub(super) due_wall: Time,
    pub(super) action: Action,
    pub(super) by: Proposer,
    pub(super) why: String,
    pub(super) criterion: SuccessCriterion,
    /// It was announced, so a person can cancel it.
    pub(super) announced: bool,
}

/// An order that was given and is not answered.
#[derive(Debug, Clone)]
pub(super) struct InFlightOrder {
    given_at: Time,
    pub(super) action: Action,
    pub(super) by: Proposer,
    /// None for a person's request: it is not measured.
    pub(super) criterion: Option<SuccessCriterion>,
}

/// An order that a person may accept.
#[derive(Debug, Clone)]
pub(super) struct OfferedOrder {
    pub(super) id: ActionId,
    offered_at: Time,
    pub(super) detection: Detection,
    pub(super) choice: Choice,
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
}

impl OrderPlan {
    /// A start of what is dead: not announced, and measured by a minute of life.
    pub(super) fn start(action: Action, by: Proposer, why: String, due: Time) -> Self {
        Self { action, by, remedy: Remedy::RestartProxy, window: Duration::from_secs(60), why, due }
    }
}

/// Every order that is on its way. Bounded, whatever is held.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    last_id: u64,
    pending: Vec<PendingOrder>,
    in_flight: BTreeMap<ActionId, InFlightOrder>,
    offers: VecDeque<OfferedOrder>,
    /// Given since the last signal, to be handed out.
    given: Vec<Order>,
}

impl Orders {
    /// A number that no order had before.
    pub(super) fn next_id(&mut self) -> ActionId {
        self.last_id = self.last_id.saturating_add(1);
        ActionId(self.last_id)
    }

    /// Gives an order that nobody waits for: it changes nothing, or tells the person something.
    pub(super) fn give(
        &mut self,
        fault: Option<Fault>,
        by: Proposer,
        why: String,
        action: Action,
    ) -> ActionId {
        let id = self.next_id();
        self.push(Order { id, fault, by, why, action });
        id
    }

    /// Gives an order and waits for its outcome.
    pub(super) fn send(&mut self, order: Order, criterion: Option<SuccessCriterion>, at: Clocks) {
        let (action, by) = (order.action.clone(), order.by);
        self.in_flight.insert(order.id, InFlightOrder { given_at: at.now, action, by, criterion });
        if self.in_flight.len() > MAX_ORDERS {
            self.in_flight.pop_first();
        }
        self.push(order);
    }

    fn push(&mut self, mut order: Order) {
        // A reason may hold the name of a stranger's process or the text of an error, and is shown in a terminal.
        order.why = plain(&order.why, MAX_SENTENCE_CHARS);
        if let Action::Alert(alert) = &mut order.action {
            alert.what = plain(&alert.what, MAX_SENTENCE_CHARS);
            alert.run = plain(&alert.run, MAX_SENTENCE_CHARS);
        }
        self.given.push(order);
    }

    /// What was given since the last call, in order.
    pub(super) fn take_given(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.given)
    }

    /// Announces a change and holds it back, so that a person can cancel it.
    pub(super) fn announce(
        &mut self,
        action: Action,
        detection: &Detection,
        choice: Choice,
        why: String,
        at: Clocks,
    ) {
        let Choice { remedy, by, window, .. } = choice;
        let due = at.now.plus(CANCEL_WINDOW);
        let plan = OrderPlan { action: action.clone(), by, remedy, window, why: why.clone(), due };
        let id = self.push_pending(detection, plan, true, at);
        let due_wall = at.wall.plus(CANCEL_WINDOW);
        let announcement = Action::Announce { id, at: due_wall, action: Box::new(action) };
        self.give(Some(detection.fault()), by, why, announcement);
    }

    /// Holds an order back until it is due. It is not announced, so nobody can cancel it.
    pub(super) fn hold(&mut self, detection: &Detection, plan: OrderPlan, at: Clocks) {
        self.push_pending(detection, plan, false, at);
    }

    fn push_pending(
        &mut self,
        detection: &Detection,
        plan: OrderPlan,
        announced: bool,
        at: Clocks,
    ) -> ActionId {
        let OrderPlan { action, by, remedy, window, why, due } = plan;
        let id = self.next_id();
        let criterion = SuccessCriterion::of(detection, remedy, window);
        let due_wall = at.wall.plus(due.since(at.now));
        if self.pending.len() >= MAX_ORDERS {
            self.pending.remove(0);
        }
        self.pending.push(PendingOrder { id, due, due_wall, action, by, why, criterion, announced });
        id
    }

    /// Keeps a change that a person may accept, by this number.
    pub(super) fn offer(&mut self, id: ActionId, detection: &Detection, choice: Choice, at: Clocks) {
        let detection = detection.clone();
        self.offers.push_back(OfferedOrder { id, offered_at: at.now, detection, choice });
        if self.offers.len() > MAX_ORDERS {
            self.offers.pop_front();
        }
    }

    /// The offer of this number, once.
    pub(super) fn take_offer(&mut self, id: ActionId) -> Option<OfferedOrder> {
        let place = self.offers.iter().position(|offer| offer.id == id)?;
        self.offers.remove(place)
    }

    /// What a person may accept.
    pub(super) fn offers(&self) -> impl Iterator<Item = &OfferedOrder> {
        self.offers.iter()
    }

    /// Takes back what was announced by this number.
    pub(super) fn cancel(&mut self, id: ActionId) -> Option<PendingOrder> {
        let place = self.pending.iter().position(|it| it.id == id && it.announced)?;
        Some(self.pending.remove(place))
    }

    /// Takes back what was announced for a pattern: a later step takes its place.
    pub(super) fn drop_announced(&mut self, pattern: &Pattern) {
        self.pending.retain(|pending| !pending.announced || pending.criterion.key.pattern != *pattern);
    }

    /// Orders without an outcome, and offers that nobody took, are given up.
    pub(super) fn expire(&mut self, at: Clocks) {
        self.in_flight.retain(|_, order| at.now.since(order.given_at) < OUTCOME_TIMEOUT);
        while self.offers.front().is_some_and(|offer| at.now.since(offer.offered_at) >= OFFER_LIFETIME) {
            self.offers.pop_front();
        }
    }

    /// The first order whose time has come.
    pub(super) fn take_due(&mut self, at: Clocks) -> Option<PendingOrder> {
        let place = self.pending.iter().position(|pending| pending.due <= at.now)?;
        Some(self.pending.remove(place))
    }

    /// When the next order is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.pending.iter().map(|pending| pending.due).min()
    }

    /// What will be done unless a person cancels it.
    pub(super) fn announced(&self) -> impl Iterator<Item = &PendingOrder> {
        self.pending.iter().filter(|pending| pending.announced)
    }

    /// The order that an outcome answers, once.
    pub(super) fn take_in_flight(&mut self, id: ActionId) -> Option<InFlightOrder> {
        self.in_flight.remove(&id)
    }

    /// Every start that was given and is not answered, in the order of their numbers.
    pub(super) fn take_starts(&mut self) -> Vec<InFlightOrder> {
        let all = std::mem::take(&mut self.in_flight);
        let (starts, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, order)| is_start(&order.action));
        self.in_flight = others.into_iter().collect();
        starts.into_iter().map(|(_, order)| order).collect()
    }

    /// This remedy is being done for this pattern already.
    pub(super) fn is_handled(&self, key: &RemedyKey) -> bool {
        let is_for_key = |criterion: &SuccessCriterion| criterion.key == *key;
        self.pending.iter().any(|order| is_for_key(&order.criterion))
            || self.in_flight.values().any(|order| order.criterion.as_ref().is_some_and(is_for_key))
    }

    /// A start waits for its time.
    pub(super) fn is_start_pending(&self) -> bool {
        self.pending.iter().any(|pending| is_start(&pending.action))
    }

    /// Such an action was given and is not answered.
    pub(super) fn is_in_flight(&self, which: impl Fn(&Action) -> bool) -> bool {
        self.in_flight.values().any(|order| which(&order.action))
    }

    /// Forgets every order that waits for its time.
    pub(super) fn drop_pending(&mut self) {
        self.pending.clear();
    }

    /// Forgets the starts that wait for their time: a proxy is there.
    pub(super) fn drop_starts(&mut self) {
        self.pending.retain(|pending| !is_start(&pending.action));
    }

    /// Forgets what waits and what is under way: a person stopped the proxy.
    pub(super) fn stop(&mut self) {
        self.pending.clear();
        self.in_flight.clear();
    }
}

/// It brings up a proxy.
pub(super) fn is_start(action: &Action) -> bool {
    matches!(action, Action::Start { .. } | Action::Restart { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Clocks {
        Clocks { now: Time::from_secs(secs), wall: Time::from_secs(secs) }
    }

    fn choice() -> Choice {
        let (cooldown, window) = (Duration::from_secs(30), Duration::from_secs(60));
        Choice { remedy: Remedy::Reconnect, by: Proposer::Rule, cooldown, window }
    }

    fn announced(orders: &mut Orders) -> ActionId {
        let detection = Detection::of(Fault::StreamInterrupted);
        orders.announce(Action::Reconnect { endpoint: None }, &detection, choice(), "why".to_owned(), at(0));
        let given = orders.take_given();
        let [Order { action: Action::Announce { id, .. }, .. }] = given.as_slice() else {
            panic!("{given:?}")
        };
        *id
    }

    #[test]
    fn an_announced_order_is_due_after_three_seconds() {
        let mut orders = Orders::default();
        let id = announced(&mut orders);
        assert_eq!(orders.next_due(), Some(Time::from_secs(3)));
        assert!(orders.take_due(at(2)).is_none());
        assert_eq!(orders.take_due(at(3)).map(|pending| pending.id), Some(id));
        assert!(orders.take_due(at(3)).is_none() && orders.cancel(id).is_none());
    }

    #[test]
    fn only_what_was_announced_can_be_cancelled() {
        let mut orders = Orders::default();
        let plan = OrderPlan::start(
            Action::Start { safe_mode: false },
            Proposer::Rule,
            "why".to_owned(),
            Time::ZERO,
        );
        orders.hold(&Detection::of(Fault::ProxyGone), plan, at(0));
        assert!(orders.is_start_pending() && orders.cancel(ActionId(1)).is_none());
        orders.drop_starts();
        let id = announced(&mut orders);
        assert!(!orders.is_start_pending() && orders.cancel(id).is_some() && orders.cancel(id).is_none());
    }

    #[test]
    fn what_nobody_answers_is_given_up() {
        let mut orders = Orders::default();
        let id = announced(&mut orders);
        let key = Detection::of(Fault::StreamInterrupted).key(Remedy::Reconnect);
        assert!(orders.is_handled(&key), "it waits for its time");
        let due = orders.take_due(at(3)).expect("due");
        let order = Order { id, fault: None, by: due.by, why: due.why, action: due.action };
        orders.send(order, Some(due.criterion), at(3));
        assert!(orders.is_handled(&key), "it is under way");
        orders.expire(at(122));
        assert!(orders.is_handled(&key));
        orders.expire(at(123));
        assert!(!orders.is_handled(&key) && orders.take_in_flight(id).is_none());
        orders.offer(ActionId(9), &Detection::of(Fault::NoCapacity), choice(), at(200));
        orders.expire(at(3799));
        assert_eq!(orders.offers().count(), 1);
        orders.expire(at(3800));
        assert!(orders.take_offer(ActionId(9)).is_none(), "an offer stands for an hour");
    }

    #[test]
    fn memory_is_bounded_and_reasons_are_one_clean_line() {
        let mut orders = Orders::default();
        for _ in 0..200 {
            announced(&mut orders);
            orders.offer(ActionId(1), &Detection::of(Fault::NoCapacity), choice(), at(0));
        }
        assert_eq!((orders.announced().count(), orders.offers().count()), (MAX_ORDERS, MAX_ORDERS));
        let (why, action) = ("a\u{1b}[2J\nb".repeat(500), Action::Ignore);
        orders.give(None, Proposer::Rule, why, action);
        let why = &orders.take_given()[0].why;
        assert!(why.chars().count() <= MAX_SENTENCE_CHARS && !why.chars().any(char::is_control));
    }
}
