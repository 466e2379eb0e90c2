//! Turns as text for people. What clients, models and providers wrote is shown without control characters.

use std::borrow::Cow;
use std::time::Duration;

use latimer_protocol::printable::escaped;
use latimer_protocol::status::{AttemptReport, TokenReport, TurnReport, TurnState, duration_text};
use latimer_watchdog::time::Time;

use crate::money;

/// A turn as one line: its name, who answers, how it ended or where it stands.
pub(crate) fn headline(turn: &TurnReport) -> String {
    let count = |count: u32, what: &str| if count == 0 { String::new() } else { format!("  {count} {what}") };
    format!(
        "{:6} {}  {}{}{}",
        turn.id,
        shown(&turn.target()),
        ending(turn),
        count(turn.retries, "retries"),
        count(turn.repairs, "repairs"),
    )
}

/// How it ended, or where it stands.
fn ending(turn: &TurnReport) -> String {
    match &turn.finish {
        Some(finish) => format!("{finish} after {}", seconds(turn.ms)),
        None => format!("{} for {}", turn.state.words(), seconds(turn.ms)),
    }
}

/// A turn as a line of a log: when it ended, its headline, its tokens, its client; a second line where it failed or waits.
pub(crate) fn log_lines(turn: &TurnReport, now_ms: u64) -> Vec<String> {
    let at = Time::from_millis(turn.begun_ms.saturating_add(turn.ms)).to_string();
    let clock = at.get(11..19).unwrap_or("--:--:--");
    let tokens = tokens_text(turn.tokens).map_or_else(String::new, |tokens| format!("  {tokens}"));
    let mut lines = vec![format!("{clock} {}{tokens}  {}", headline(turn), shown(&turn.client))];
    lines.extend(
        turn.failure
            .as_ref()
            .map(|failure| format!("         {}: {}", failure.code, shown(&failure.message))),
    );
    lines.extend(waiting(turn, now_ms).map(|text| format!("         {text}")));
    lines
}

/// What a turn waits for, and how long.
pub(crate) fn waiting(turn: &TurnReport, now_ms: u64) -> Option<String> {
    let wait = turn.wait.as_ref().filter(|_| turn.state == TurnState::Waiting)?;
    let left = wait.until_ms.map(|until| until.saturating_sub(now_ms).div_ceil(1000));
    let time = left.map_or_else(String::new, |left| format!(" {} more", duration_text(left)));
    Some(format!("waits{time}: {}", shown(&wait.why)))
}

/// Everything that is known of a turn, a line each.
pub(crate) fn details(turn: &TurnReport, now_ms: u64) -> Vec<String> {
    let mut lines = vec![headline(turn)];
    let begun = Time::from_millis(turn.begun_ms).to_string();
    let ago = duration_text(now_ms.saturating_sub(turn.begun_ms) / 1000);
    lines.push(format!("  when     {} UTC, {ago} ago", begun.get(..19).unwrap_or(&begun).replace('T', " ")));
    let session =
        turn.session.as_deref().map_or_else(String::new, |session| format!(", session {}", shown(session)));
    if !turn.client.is_empty() {
        lines.push(format!("  client   {}{session}", shown(&turn.client)));
    }
    lines.extend(turn.key.as_deref().map(|key| format!("  key      {}", shown(key))));
    lines.extend(turn.node.as_deref().map(|node| format!("  node     {}", shown(node))));
    if !turn.asked.is_empty() {
        lines.push(format!(
            "  asked    {} by {}, answered by {}",
            shown(&turn.asked),
            turn.protocol,
            shown(&turn.target())
        ));
    }
    lines.extend(turn.failure.as_ref().map(|failure| format!("  failed: {}", shown(&failure.message))));
    lines.extend(waiting(turn, now_ms).map(|text| format!("  {text}")));
    if !turn.account.is_empty() {
        lines.push(format!("  asked with {}", shown(&turn.account)));
    }
    route(turn, &mut lines);
    for (number, attempt) in turn.attempts.iter().enumerate() {
        lines.extend(attempt_lines(number + 1, attempt, turn));
    }
    lines.extend(turn.first_ms.map(|first| format!("  first word after {}", seconds(first))));
    lines.extend(tokens_text(turn.tokens).map(|tokens| format!("  tokens   {tokens}")));
    lines.extend(cost_text(turn).map(|cost| format!("  {cost}")));
    lines.extend(turn.notes.iter().map(|note| format!("  {}", shown(&note.text))));
    if turn.notes.is_empty() && turn.attempts.len() <= 1 && turn.state == TurnState::Over {
        lines.push("  nothing was changed, and nothing noted".to_owned());
    }
    lines
}

/// Why this endpoint.
fn route(turn: &TurnReport, lines: &mut Vec<String>) {
    let Some(route) = &turn.route else {
        if !turn.endpoint.is_empty() {
            lines.push("  route    none: the model has this endpoint only".to_owned());
        }
        return;
    };
    lines.push(format!("  route    {} ({})", shown(&route.route), route.strategy));
    for (place, candidate) in route.candidates.iter().enumerate() {
        let kept = route.affinity.as_ref() == Some(&candidate.target);
        let why = match &candidate.not_ready {
            Some(why) => format!("; last, because {why}"),
            None if kept => "; it answered this conversation before".to_owned(),
            None => String::new(),
        };
        lines.push(format!(
            "    {}. {}  score {:.1}{why}",
            place + 1,
            shown(&candidate.target),
            candidate.score
        ));
    }
}

fn attempt_lines(number: usize, attempt: &AttemptReport, turn: &TurnReport) -> Vec<String> {
    let account =
        if attempt.account.is_empty() { String::new() } else { format!(" with {}", shown(&attempt.account)) };
    let target = format!("{}/{}", shown(&attempt.endpoint), shown(&attempt.model));
    let queued = match attempt.queued_ms {
        0..100 => String::new(),
        queued => format!(", waited {} ({})", seconds(queued), shown(&attempt.queued_for)),
    };
    let begin = format!("  attempt {number} at {}: {target}{account}{queued}", seconds(attempt.at_ms));
    let Some(failure) = &attempt.failure else {
        let end = if turn.state == TurnState::Over { "answered" } else { turn.state.words() };
        return vec![format!("{begin}, {end}")];
    };
    let status = failure.status.map_or_else(String::new, |status| format!(" ({status})"));
    let then = match attempt.then.as_deref() {
        Some("retry") if attempt.wait_ms > 0 => format!("asked again after {}", seconds(attempt.wait_ms)),
        Some("retry") => "asked again at once".to_owned(),
        Some("next_target") => "the next target was asked".to_owned(),
        Some("rewrite") => "written anew without what was refused".to_owned(),
        Some("hand_over") => "the client was told at once: it may ask again then".to_owned(),
        Some("fewer_items") => "sent again with a shorter history".to_owned(),
        _ => "given up".to_owned(),
    };
    vec![
        format!("{begin}, {}{status} after {}", failure.code, seconds(attempt.ms.unwrap_or(0))),
        format!("    {}; {then}", shown(&failure.message)),
    ]
}

/// `12.3k in (80% cached), 321 out`.
fn tokens_text(tokens: TokenReport) -> Option<String> {
    let (input, output) = (tokens.input?, tokens.output.unwrap_or(0));
    let share = tokens.cached.unwrap_or(0).saturating_mul(100).checked_div(input).unwrap_or(0);
    let cached = if share > 0 { format!(" ({share}% cached)") } else { String::new() };
    Some(format!("{} in{cached}, {} out", count(input), count(output)))
}

fn cost_text(turn: &TurnReport) -> Option<String> {
    match turn.cost_usd {
        Some(cost) => Some(format!("cost {}", money::cost(Some(cost)))),
        None => turn
            .tokens
            .input
            .map(|_| format!("cost unpriced: no price is configured for {}", shown(&turn.target()))),
    }
}

/// `950`, `12.3k`, `4.5M`.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        1000..1_000_000 => format!("{}.{}k", number / 1000, number % 1000 / 100),
        _ => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

fn seconds(ms: u64) -> String {
    format!("{:.1} s", Duration::from_millis(ms).as_secs_f64())
}

/// What came from outside, on one line.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    escaped(text)
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::{CandidateReport, FailureReport, NoteReport, RouteReport, WaitReport};

    use super::*;

    fn turn() -> TurnReport {
        TurnReport {
            id: "t7".to_owned(),
            state: TurnState::Over,
            client: "codex".to_owned(),
            protocol: "responses".to_owned(),
            asked: "fast".to_owned(),
            endpoint: "a".to_owned(),
            model: "m".to_owned(),
            account: "me".to_owned(),
            begun_ms: 1_795_219_200_000,
            ms: 1500,
            finish: Some("stop".to_owned()),
            retries: 2,
            cost_usd: Some(0.25),
            notes: vec![NoteReport { code: "request_changed".to_owned(), text: "left out: x".to_owned() }],
            ..TurnReport::default()
        }
    }

    #[test]
    fn a_headline_counts_only_what_happened() {
        assert_eq!(headline(&turn()), "t7     a/m  stop after 1.5 s  2 retries");
        let running = TurnReport { finish: None, state: TurnState::FirstWord, retries: 0, ..turn() };
        assert_eq!(headline(&running), "t7     a/m  waiting for the first word for 1.5 s");
    }

    #[test]
    fn details_hold_time_client_route_attempts_cost_and_notes() {
        let failure = FailureReport {
            code: "rate_limited".to_owned(),
            status: Some(429),
            message: "Slow\u{1b}[2J down".to_owned(),
            retry_after_ms: None,
        };
        let first = AttemptReport {
            endpoint: "b".to_owned(),
            model: "m".to_owned(),
            ms: Some(100),
            failure: Some(failure),
            then: Some("next_target".to_owned()),
            ..AttemptReport::default()
        };
        let second = AttemptReport {
            endpoint: "a".to_owned(),
            model: "m".to_owned(),
            at_ms: 100,
            ..AttemptReport::default()
        };
        let limit = Some("a limit holds, for 9 s more".to_owned());
        let candidates = vec![
            CandidateReport { target: "b/m".to_owned(), score: 1.0, ..CandidateReport::default() },
            CandidateReport {
                target: "a/m".to_owned(),
                score: 500.0,
                not_ready: limit,
                ..CandidateReport::default()
            },
        ];
        let route = RouteReport {
            route: "fast".to_owned(),
            strategy: "ordered".to_owned(),
            affinity: Some("b/m".to_owned()),
            candidates,
        };
        let turn = TurnReport { attempts: vec![first, second], route: Some(route), ..turn() };
        let lines = details(&turn, 1_795_219_260_000);
        assert_eq!(
            lines[1..],
            [
                "  when     2026-11-21 00:00:00 UTC, 1 min ago",
                "  client   codex",
                "  asked    fast by responses, answered by a/m",
                "  asked with me",
                "  route    fast (ordered)",
                "    1. b/m  score 1.0; it answered this conversation before",
                "    2. a/m  score 500.0; last, because a limit holds, for 9 s more",
                "  attempt 1 at 0.0 s: b/m, rate_limited (429) after 0.1 s",
                "    Slow\\u{1b}[2J down; the next target was asked",
                "  attempt 2 at 0.1 s: a/m, answered",
                "  cost $0.25",
                "  left out: x",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let quiet = TurnReport { notes: Vec::new(), cost_usd: None, ..turn() };
        let lines = details(&quiet, 1_795_219_260_000);
        assert_eq!(lines.last().map(String::as_str), Some("  nothing was changed, and nothing noted"));
        assert!(!lines.iter().any(|line| line.contains("cost")), "{lines:?}");
        let tokens = TokenReport {
            input: Some(12_345),
            cached: Some(6000),
            output: Some(7),
            ..TokenReport::default()
        };
        let unpriced = TurnReport { tokens, ..quiet };
        let text = details(&unpriced, 0).join("\n");
        assert!(text.contains("12.3k in (48% cached), 7 out") && text.contains("cost unpriced"), "{text}");
    }

    #[test]
    fn a_turn_that_waits_says_how_long_and_why() {
        let wait = WaitReport { since_ms: 0, until_ms: Some(12_400), why: "lab asked for it".to_owned() };
        let turn = TurnReport { finish: None, state: TurnState::Waiting, wait: Some(wait), ..turn() };
        assert_eq!(log_lines(&turn, 1000)[1].trim(), "waits 12 s more: lab asked for it");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([count(999), count(12_345), count(4_560_000)], ["999", "12.3k", "4.5M"]);
        assert_eq!(shown("a\u{202e}b\nc\u{7}"), "a\\u{202e}b\\nc\\u{7}");
    }
}
