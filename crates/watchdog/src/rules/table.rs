//! The table of rules as it is without a rules file.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::{Remedy, Rule};
use crate::pattern::Fact;

/// One row: fault, only for this fact, threshold, window in seconds, in a row, remedy, cooldown in seconds.
type Row = (Fault, Option<(Fact, &'static str)>, u32, u64, bool, Remedy, u64);

const ANY: Option<(Fact, &str)> = None;
/// Sightings may lie between successes.
const SUM: bool = false;
/// A success in between begins the count again.
const RUN: bool = true;

const ROWS: [Row; 67] = {
    use Fault::{
        A1, A2, A3, A4, A5, A6, A7, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, C1, C2, C3, C4, C5, C6, C7, C8,
        C9, C10, D1, D2, D3, D4, D5, D6, E1, E2, E3, E4, E5,
    };
    use Remedy::{
        AlertUser, CleanupCodexStale, ClearSchemaCache, Diagnose, Ignore, IncreaseTimeout,
        KillStaleProcesses, Probe, Reconnect, RegenerateConfig, ReplaceProxy, RestartProxy, RetryNow,
        SuggestModel, SuggestProvider, SwitchProvider, Wait,
    };
    [
        // The proxy's process. A1 and A5 begin again at once: the guard of restarts keeps the time between.
        (A1, ANY, 1, 60, SUM, RestartProxy, 30),
        (A1, Some((Fact::Check, "health")), 3, 30, RUN, RestartProxy, 30),
        // A log of somebody else says so: hearsay, to be looked into.
        (A1, Some((Fact::Check, "log")), 1, 60, SUM, Probe, 60),
        (A2, ANY, 1, 60, SUM, AlertUser, 60),
        (A2, Some((Fact::Owner, "ours")), 1, 60, SUM, KillStaleProcesses, 60),
        (A2, Some((Fact::Check, "log")), 1, 60, SUM, Ignore, 300),
        (A3, ANY, 1, 120, SUM, ReplaceProxy, 120),
        (A3, Some((Fact::Check, "log")), 1, 60, SUM, Ignore, 300),
        (A4, ANY, 3, 60, RUN, RestartProxy, 30),
        (A4, Some((Fact::Check, "probe")), 2, 60, RUN, RestartProxy, 30),
        (A4, Some((Fact::Check, "lag")), 5, 60, SUM, AlertUser, 300),
        (A4, Some((Fact::Check, "latency")), 1, 60, SUM, AlertUser, 1800),
        (A4, Some((Fact::Check, "log")), 1, 60, SUM, Probe, 60),
        (A5, ANY, 1, 60, SUM, RestartProxy, 30),
        // One request failed inside; the others live, and the process does.
        (A5, Some((Fact::Check, "request")), 1, 60, SUM, AlertUser, 300),
        (A5, Some((Fact::Check, "log")), 1, 60, SUM, Probe, 60),
        (A6, ANY, 1, 60, SUM, AlertUser, 300),
        (A7, ANY, 1, 60, SUM, RetryNow, 30),
        (A7, Some((Fact::Network, "down")), 1, 60, SUM, AlertUser, 300),
        // The provider.
        (B1, ANY, 1, 60, SUM, Wait, 30),
        (B1, Some((Fact::Limit, "balance")), 1, 60, SUM, AlertUser, 3600),
        (B2, ANY, 1, 60, SUM, RetryNow, 30),
        (B2, ANY, 3, 120, RUN, SwitchProvider, 60),
        (B3, ANY, 1, 60, SUM, AlertUser, 300),
        (B4, ANY, 1, 60, SUM, AlertUser, 300),
        (B5, ANY, 1, 60, SUM, IncreaseTimeout, 30),
        (B6, ANY, 1, 60, SUM, Ignore, 30),
        (B6, ANY, 3, 60, RUN, Reconnect, 30),
        (B6, ANY, 6, 120, RUN, RestartProxy, 30),
        (B7, ANY, 1, 60, SUM, Ignore, 300),
        (B8, ANY, 1, 60, SUM, ClearSchemaCache, 30),
        (B9, ANY, 1, 60, SUM, SwitchProvider, 60),
        (B10, ANY, 1, 60, SUM, AlertUser, 300),
        // What a model wrote. The request itself was repaired; these are about a model that does it again and again.
        (C1, ANY, 1, 60, SUM, Ignore, 300),
        (C1, ANY, 3, 600, SUM, ClearSchemaCache, 300),
        (C1, ANY, 6, 600, SUM, SuggestModel, 600),
        (C2, ANY, 1, 60, SUM, Ignore, 300),
        (C2, ANY, 5, 600, SUM, SuggestProvider, 600),
        (C3, ANY, 1, 60, SUM, Ignore, 300),
        (C3, ANY, 5, 600, SUM, Diagnose, 300),
        (C4, ANY, 1, 60, SUM, AlertUser, 300),
        (C5, ANY, 1, 60, SUM, Ignore, 300),
        (C5, ANY, 3, 600, SUM, ClearSchemaCache, 300),
        (C5, ANY, 5, 600, SUM, AlertUser, 600),
        (C6, ANY, 1, 60, SUM, Ignore, 300),
        (C6, ANY, 3, 600, SUM, SuggestModel, 600),
        (C7, ANY, 1, 60, SUM, Ignore, 300),
        (C7, ANY, 5, 600, SUM, Diagnose, 300),
        (C8, ANY, 1, 60, SUM, Ignore, 300),
        (C8, ANY, 3, 600, SUM, Diagnose, 300),
        (C9, ANY, 1, 60, SUM, Ignore, 3600),
        (C10, ANY, 1, 60, SUM, SuggestProvider, 300),
        // The client.
        (D1, ANY, 1, 60, SUM, AlertUser, 30),
        (D2, ANY, 1, 60, SUM, AlertUser, 600),
        (D3, ANY, 1, 60, SUM, Probe, 60),
        (D3, Some((Fact::Check, "probe")), 1, 60, SUM, RestartProxy, 60),
        (D4, ANY, 1, 60, SUM, AlertUser, 600),
        (D4, Some((Fact::Generated, "yes")), 1, 60, SUM, RegenerateConfig, 60),
        // Once for each thread: the thread is part of what rests.
        (D5, ANY, 1, 60, SUM, AlertUser, 86_400),
        (D6, ANY, 3, 60, SUM, Probe, 60),
        (D6, Some((Fact::Check, "probe")), 1, 60, SUM, RestartProxy, 60),
        // Files and state.
        (E1, ANY, 1, 60, SUM, ClearSchemaCache, 60),
        (E2, ANY, 1, 60, SUM, CleanupCodexStale, 30),
        (E3, ANY, 1, 60, SUM, RegenerateConfig, 60),
        (E4, ANY, 1, 60, SUM, AlertUser, 3600),
        (E5, ANY, 1, 60, SUM, AlertUser, 300),
        (E5, Some((Fact::Network, "down")), 1, 60, SUM, Ignore, 300),
    ]
};

pub(super) fn rows() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::with_capacity(ROWS.len());
    for (fault, when, threshold, window, in_a_row, remedy, cooldown) in ROWS {
        let before = rules.iter().filter(|rule| rule.fault == fault).count();
        rules.push(Rule {
            fault,
            step: u8::try_from(before + 1).unwrap_or(u8::MAX),
            when,
            threshold,
            window: Duration::from_secs(window),
            in_a_row,
            remedy,
            cooldown: Duration::from_secs(cooldown),
            enabled: true,
        });
    }
    rules
}
