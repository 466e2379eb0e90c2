//! Keys as lines and as JSON. Never a secret.

use latimer_protocol::printable::escaped;
use latimer_protocol::status::{SCHEMA_VERSION, duration_text};
use latimer_proxy::keys::limits::{Rate, money_text};
use latimer_proxy::keys::period::{Amounts, Period};
use latimer_proxy::keys::{KeyRecord, KeyUse};
use latimer_watchdog::time::Time;
use serde_json::{Value, json};

use crate::turn_text::count;

/// Whether a key opens anything.
fn state(record: &KeyRecord, now: u64) -> &'static str {
    match record {
        KeyRecord { revoked_at: Some(_), .. } => "revoked",
        KeyRecord { expires_at: Some(at), .. } if *at <= now => "expired",
        _ => "active",
    }
}

/// What was used in the window of this length in which the present lies.
fn used_now(used: &[KeyUse], period: Period, now: u64) -> Amounts {
    let window = period.window(now);
    used.iter().find(|one| one.window == window).map_or_else(Amounts::default, |one| one.amounts)
}

#[expect(clippy::cast_precision_loss, reason = "money is rounded for people anyway")]
fn amounts(amounts: Amounts) -> Value {
    json!({
        "requests": amounts.requests,
        "tokens": amounts.tokens,
        "cost_usd": amounts.micro_usd as f64 / 1e6,
    })
}

/// A key as JSON.
pub(super) fn value(record: &KeyRecord, used: &[KeyUse], now: u64) -> Value {
    let limits = &record.limits;
    json!({
        "schema_version": SCHEMA_VERSION,
        "name": record.name,
        "id": record.id.as_str(),
        "state": state(record, now),
        "models": record.models.names(),
        "limits": {
            "requests": limits.requests.map(Rate::count_text),
            "tokens": limits.tokens.map(Rate::count_text),
            "budget_usd": limits.budget.map(Rate::money_text),
            "parallel": limits.parallel,
        },
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "rotated_at": record.rotated_at,
        "revoked_at": record.revoked_at,
        "used": {
            "day": amounts(used_now(used, Period::Day, now)),
            "month": amounts(used_now(used, Period::Month, now)),
        },
    })
}

/// A key in a line each of what is known.
pub(super) fn lines(record: &KeyRecord, used: &[KeyUse], now: u64) -> Vec<String> {
    let models = record.models.names();
    let models = if models.is_empty() { "all".to_owned() } else { escaped(&models.join(", ")).into_owned() };
    let mut lines = vec![
        format!("{}  {}", record.name, state(record, now)),
        format!("  id       {}", record.id),
        format!("  models   {models}"),
        format!("  limits   {}", record.limits),
        format!("  made     {}", moment(record.created_at, now)),
    ];
    for (what, at) in
        [("rotated", record.rotated_at), ("expires", record.expires_at), ("revoked", record.revoked_at)]
    {
        lines.extend(at.map(|at| format!("  {what:8} {}", moment(at, now))));
    }
    for (what, period) in [("today", Period::Day), ("month", Period::Month)] {
        lines.push(format!("  {what:8} {}", used_text(used_now(used, period, now))));
    }
    lines
}

/// All keys, a line each.
pub(super) fn list_lines(all: &[(KeyRecord, Vec<KeyUse>)], now: u64) -> Vec<String> {
    let width = all.iter().map(|(record, _)| record.name.len()).max().unwrap_or(0);
    all.iter()
        .map(|(record, used)| {
            format!(
                "{:width$}  {:8}  {}; today {}",
                record.name,
                state(record, now),
                record.limits,
                used_text(used_now(used, Period::Day, now))
            )
        })
        .collect()
}

fn used_text(used: Amounts) -> String {
    format!("{} turns, {} tokens, ${}", used.requests, count(used.tokens), money_text(used.micro_usd))
}

fn moment(at: u64, now: u64) -> String {
    let text = Time::from_millis(at.saturating_mul(1000)).to_string();
    let distance = if at > now {
        format!("in {}", duration_text(at - now))
    } else {
        format!("{} ago", duration_text(now - at))
    };
    format!("{} UTC, {distance}", text.get(..19).unwrap_or(&text).replace('T', " "))
}
