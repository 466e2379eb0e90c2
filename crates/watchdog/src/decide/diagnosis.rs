//! Tier 3: one question to a model at a time, within the budget; its answer is a proposal like any other.

use std::time::Duration;

use super::State;
use super::alerts;
use super::choice::Choice;
use super::clock::Clocks;
use super::detection::Detection;
use super::orders::OUTCOME_TIMEOUT;
use super::remedy;
use crate::action::{Action, Proposer};
use crate::diagnose::budget::MIN_INTERVAL;
use crate::diagnose::reply;
use crate::ids::ActionId;
use crate::incidents::Question;
use crate::rules::Remedy;
use crate::signal::Diagnosis;
use crate::time::Time;

/// A question to a model that is not answered.
#[derive(Debug, Clone)]
struct PendingDiagnosis {
    id: ActionId,
    detection: Detection,
    asked_at: Time,
    cooldown: Duration,
    window: Duration,
}

/// The open question, and when the last one was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct DiagnosisDesk {
    pending: Option<PendingDiagnosis>,
    /// In time that passed: the ledger's clock can be set back.
    last_question_at: Option<Time>,
}

impl DiagnosisDesk {
    fn is_too_soon(&self, at: Clocks) -> bool {
        self.last_question_at.is_some_and(|pending| at.now.since(pending) < MIN_INTERVAL)
    }

    /// Nobody waits for an answer any longer.
    pub(super) fn forget(&mut self) {
        self.pending = None;
    }
}

/// Asks a model, if there is one and the budget allows it; otherwise a person is told.
pub(super) fn ask(state: &mut State, detection: &Detection, choice: Choice, at: Clocks) {
    let Choice { cooldown, window, .. } = choice;
    if state.life.is_absent() {
        return;
    }
    let key = detection.key(Remedy::Diagnose);
    if state.diagnosis.pending.is_some() || !state.guards.may_tell(&key, cooldown, at) {
        return;
    }
    if !may_ask(state, at) {
        return alerts::tell_of_remedy(state, detection, Remedy::AlertUser, None, cooldown, at);
    }
    // Counted before the question goes out, so that a slow answer is not asked for again.
    state.record.ledger.record_question(at.wall);
    state.diagnosis.last_question_at = Some(at.now);
    let incident = state.record.incidents.get(&detection.pattern);
    let proxy = state.life.facts(state.guards.starts());
    let report = state.senses.report(detection, &proxy, incident, at);
    let why = format!("no rule and no record covers {}", detection.pattern);
    let (fault, action) = (Some(detection.fault()), Action::Diagnose(report));
    let id = state.orders.give(fault, Proposer::Rule, why, action);
    let detection = detection.clone();
    state.diagnosis.pending = Some(PendingDiagnosis { id, detection, asked_at: at.now, cooldown, window });
}

fn may_ask(state: &State, at: Clocks) -> bool {
    let diagnosis = &state.settings.diagnosis;
    state.settings.tier3
        && diagnosis.endpoint.is_some()
        && !state.diagnosis.is_too_soon(at)
        && state.record.ledger.admit(diagnosis.monthly_budget_micros, at.wall).is_ok()
}

/// A model answered, or did not. An answer to another question than the open one is not heard.
pub(super) fn answered(state: &mut State, diagnosis: &Diagnosis, at: Clocks) {
    let Some(pending) = state.diagnosis.pending.take_if(|pending| pending.id == diagnosis.id) else { return };
    let Diagnosis { input_tokens, output_tokens, cost_micros, .. } = *diagnosis;
    let is_counted = input_tokens > 0 || output_tokens > 0 || cost_micros.is_some();
    let PendingDiagnosis { mut detection, cooldown, window, .. } = pending;
    // Without an answer, what was set aside for it is given back when nothing was used.
    if is_counted || diagnosis.reply.is_none() {
        let cost_micros = state.record.ledger.answered(input_tokens, output_tokens, cost_micros);
        let question = Question { tokens: input_tokens.saturating_add(output_tokens), cost_micros };
        state.record.incidents.asked(&detection.pattern, question, at.wall);
    }
    let Some(text) = &diagnosis.reply else {
        return alerts::tell_of_remedy(state, &detection, Remedy::AlertUser, None, cooldown, at);
    };
    if state.guards.is_silenced(detection.fault(), at) {
        return;
    }
    match reply::read(text) {
        Ok(proposal) => {
            let choice = Choice { remedy: proposal.remedy, by: Proposer::Model, cooldown, window };
            let why = format!("a model thinks: {}", proposal.reason);
            remedy::propose(state, &detection, choice, Some(why), at);
        }
        Err(unusable) => {
            detection.what = Some(format!("{}; {unusable}", detection.reason()));
            alerts::tell_of_remedy(state, &detection, Remedy::AlertUser, None, cooldown, at);
        }
    }
}

/// A question that was not answered in time is given up, and a person is told instead.
pub(super) fn expire(state: &mut State, at: Clocks) {
    let given_up =
        state.diagnosis.pending.take_if(|pending| at.now.since(pending.asked_at) >= OUTCOME_TIMEOUT);
    if let Some(pending) = given_up {
        alerts::tell_of_remedy(state, &pending.detection, Remedy::AlertUser, None, pending.cooldown, at);
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::Fault;

    use super::super::tests::{AT, up};
    use super::*;

    fn choice() -> Choice {
        let (cooldown, window) = (Duration::from_secs(300), Duration::from_secs(300));
        Choice { remedy: Remedy::Diagnose, by: Proposer::Rule, cooldown, window }
    }

    fn with_model() -> State {
        let mut state = up();
        state.settings.diagnosis.endpoint = Some("small".to_owned());
        state
    }

    fn given(state: &mut State) -> Vec<&'static str> {
        state.orders.take_given().iter().map(|order| order.action.name()).collect()
    }

    #[test]
    fn one_question_is_open_at_a_time_and_the_next_waits_a_minute() {
        let mut state = with_model();
        ask(&mut state, &Detection::of(Fault::CallNotFound), choice(), AT);
        ask(&mut state, &Detection::of(Fault::LoneBrace), choice(), AT);
        assert_eq!(given(&mut state), ["diagnose"]);
        state.diagnosis.forget();
        ask(&mut state, &Detection::of(Fault::LoneBrace), choice(), AT);
        assert_eq!(given(&mut state), ["alert"], "a person is told instead");
    }

    #[test]
    fn without_a_model_a_person_is_told() {
        let mut state = up();
        ask(&mut state, &Detection::of(Fault::CallNotFound), choice(), AT);
        assert_eq!(given(&mut state), ["alert"]);
        assert_eq!(state.record.ledger.calls, 0);
    }

    #[test]
    fn an_answer_is_a_proposal_and_only_to_the_open_question() {
        let mut state = with_model();
        ask(&mut state, &Detection::of(Fault::CallNotFound), choice(), AT);
        let id = state.orders.take_given()[0].id;
        let reply = |id| Diagnosis {
            id,
            reply: Some(r#"{"action":"clear_schema_cache","reason":"r","confidence":0.9}"#.to_owned()),
            ..Diagnosis::default()
        };
        answered(&mut state, &reply(ActionId(id.0 + 1)), AT);
        assert!(given(&mut state).is_empty());
        answered(&mut state, &reply(id), AT);
        answered(&mut state, &reply(id), AT);
        assert_eq!(given(&mut state), ["announce"]);
    }

    #[test]
    fn a_question_without_an_answer_is_given_up() {
        let mut state = with_model();
        ask(&mut state, &Detection::of(Fault::CallNotFound), choice(), AT);
        given(&mut state);
        let after = |secs| Clocks { now: AT.now.plus(Duration::from_secs(secs)), ..AT };
        expire(&mut state, after(119));
        assert!(given(&mut state).is_empty());
        expire(&mut state, after(120));
        assert_eq!(given(&mut state), ["alert"]);
    }
}
