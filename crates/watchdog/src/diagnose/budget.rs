//! What asking a model may cost: calls a minute and a day, money a month.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// Between two questions, at the least.
pub const MIN_INTERVAL: Duration = Duration::from_secs(60);
/// Questions a day (UTC), at the most.
pub const MAX_PER_DAY: u32 = 10;
/// What one question is taken to cost before it is answered, and when nobody says what it did cost, in millionths of a US
/// dollar for a thousand tokens. Dearer than the small hosted models of 2026, so that the budget errs on the safe side.
const MICROS_PER_1000_TOKENS: u64 = 2_000;
/// Tokens of a question and its answer, before they are known.
const RESERVED_TOKENS: u64 = 1_000;

/// Why no question may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BudgetRefusal {
    /// The last one was less than a minute ago.
    #[error("a model was asked less than a minute ago")]
    TooSoon,
    /// Ten were asked today.
    #[error("a model was asked ten times today")]
    DayFull,
    /// The month's money is spent.
    #[error("the month's budget for questions is spent")]
    Spent,
}

/// Calls and cost. Days and months are those of the clock on the wall; one that is set back gives nothing back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// When the last question was asked.
    pub last: Option<Time>,
    /// The day of `today`, counted from 1970.
    pub day: u64,
    /// Questions of that day.
    pub today: u32,
    /// The month of `spent_micros`, as year times twelve plus month.
    pub month: u64,
    /// What that month cost, in millionths of a US dollar.
    pub spent_micros: u64,
    /// Questions since the beginning.
    pub calls: u64,
    /// Tokens of all questions.
    pub input_tokens: u64,
    /// Tokens of all answers.
    pub output_tokens: u64,
}

impl Ledger {
    /// Whether a question may be asked now, within this budget for a month, in millionths of a US dollar.
    ///
    /// # Errors
    ///
    /// Too soon, too many today, or the money is spent.
    pub fn admit(&self, budget_micros: u64, now: Time) -> Result<(), BudgetRefusal> {
        // A clock that was set back makes the last question one of the future: that is not "soon" for ever.
        if self.last.is_some_and(|last| now >= last && now.since(last) < MIN_INTERVAL) {
            return Err(BudgetRefusal::TooSoon);
        }
        if now.day() <= self.day && self.today >= MAX_PER_DAY {
            return Err(BudgetRefusal::DayFull);
        }
        let spent = if now.month() > self.month { 0 } else { self.spent_micros };
        if spent.saturating_add(estimate(RESERVED_TOKENS)) > budget_micros {
            return Err(BudgetRefusal::Spent);
        }
        Ok(())
    }

    /// A question is being asked: counted before the answer, so that a slow one is not asked again. Its cost is set aside.
    pub fn record_question(&mut self, now: Time) {
        self.last = Some(now);
        if now.day() > self.day {
            self.day = now.day();
            self.today = 0;
        }
        if now.month() > self.month {
            self.month = now.month();
            self.spent_micros = 0;
        }
        self.today = self.today.saturating_add(1);
        self.calls = self.calls.saturating_add(1);
        self.spent_micros = self.spent_micros.saturating_add(estimate(RESERVED_TOKENS));
    }

    /// It was answered, or given up: what was set aside becomes what it cost, in millionths of a US dollar.
    pub fn answered(&mut self, input_tokens: u64, output_tokens: u64, cost_micros: Option<u64>) -> u64 {
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
        let cost = cost_micros.unwrap_or_else(|| estimate(input_tokens.saturating_add(output_tokens)));
        let before = self.spent_micros.saturating_sub(estimate(RESERVED_TOKENS));
        self.spent_micros = before.saturating_add(cost);
        cost
    }

    /// What is left of a month's budget, in millionths of a US dollar.
    pub fn left(&self, budget_micros: u64, now: Time) -> u64 {
        let spent = if now.month() > self.month { 0 } else { self.spent_micros };
        budget_micros.saturating_sub(spent)
    }

    /// A damaged file must not close tier 3 for ever with a date far in the future: such a date is forgotten.
    pub(crate) fn mend(&mut self) {
        const YEAR_2200: u64 = 7_258_118_400;
        if self.day > YEAR_2200 / 86_400 || self.month > 2200 * 12 {
            (self.day, self.month) = (0, 0);
        }
    }
}

fn estimate(tokens: u64) -> u64 {
    tokens.saturating_mul(MICROS_PER_1000_TOKENS).div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = 2_000_000;

    fn noon() -> Time {
        // 2023-11-14 12:00
        Time::from_secs(1_699_963_200)
    }

    #[test]
    fn one_a_minute_and_ten_a_day() {
        let mut ledger = Ledger::default();
        let mut now = noon();
        for _ in 0..MAX_PER_DAY {
            assert_eq!(ledger.admit(BUDGET, now), Ok(()));
            ledger.record_question(now);
            assert_eq!(ledger.admit(BUDGET, now.plus(Duration::from_secs(59))), Err(BudgetRefusal::TooSoon));
            ledger.answered(800, 100, Some(300));
            now = now.plus(MIN_INTERVAL);
        }
        assert_eq!(ledger.admit(BUDGET, now), Err(BudgetRefusal::DayFull));
        let midnight = noon().plus(Duration::from_secs(12 * 3600));
        assert_eq!(ledger.admit(BUDGET, midnight), Ok(()), "a new day");
        assert_eq!((ledger.calls, ledger.input_tokens, ledger.output_tokens), (10, 8000, 1000));
        assert_eq!(ledger.spent_micros, 3000, "what was set aside became what it cost");
    }

    #[test]
    fn a_month_has_its_money() {
        let mut ledger = Ledger::default();
        ledger.record_question(noon());
        ledger.answered(1_000_000, 0, None);
        assert_eq!(ledger.spent_micros, 2_000_000, "estimated where nobody says");
        let later = noon().plus(Duration::from_secs(86_400));
        assert_eq!(ledger.admit(BUDGET, later), Err(BudgetRefusal::Spent));
        assert_eq!(ledger.left(BUDGET, later), 0);
        let december = noon().plus(Duration::from_secs(20 * 86_400));
        assert_eq!(ledger.admit(BUDGET, december), Ok(()));
        assert_eq!(ledger.admit(0, december), Err(BudgetRefusal::Spent), "no money, no question");
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_back_and_takes_nothing() {
        let mut ledger = Ledger::default();
        let mut now = noon();
        for _ in 0..MAX_PER_DAY {
            ledger.record_question(now);
            now = now.plus(MIN_INTERVAL);
        }
        let before = noon().plus(Duration::ZERO).since(Time::from_secs(3 * 86_400));
        let back = Time::ZERO.plus(before);
        assert_eq!(
            ledger.admit(BUDGET, back),
            Err(BudgetRefusal::DayFull),
            "three days earlier is not a new day"
        );
        let mut ledger = Ledger::default();
        ledger.record_question(noon());
        assert_eq!(ledger.admit(BUDGET, back), Ok(()), "a question of the future is not soon for ever");
    }
}
