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
        AllRoutesResting, BareExplore, BashWithoutCommand, BotFilter, CallNotFound, CertificateRejected,
        ClientDatabaseMalformed, ClientGone, ClientLeft, ClientMemoryHigh, ClientReconnecting,
        ClientStreamLost, ClientVersionRefused, ContextTooLong, DeadRegistryEntries, EmptyCommand,
        EscalationRequest, KeyRefused, LearnedStateCorrupt, LoginExpiring, LoneBrace, NameUnresolved,
        NoCapacity, ParameterSpelling, PortTaken, ProviderUnreachable, ProxyCrashed, ProxyGone,
        ProxyMemoryHigh, ProxyUnresponsive, RateLimited, RepetitionLoop, RequestRefused, ServerError,
        StaleClientPort, StreamInterrupted, SuspiciousCommand, WrappedCommand,
    };
    use Remedy::{
        AlertUser, CleanupCodexStale, ClearSchemaCache, Diagnose, Ignore, IncreaseTimeout,
        KillStaleProcesses, Probe, Reconnect, RegenerateConfig, ReplaceProxy, RestartProxy, RetryNow,
        SuggestModel, SuggestProvider, SwitchProvider, Wait,
    };
    [
        // The proxy's process. A proxy that is gone or ended begins again at once: the guard of restarts keeps the time between.
        (ProxyGone, ANY, 1, 60, SUM, RestartProxy, 30),
        (ProxyGone, Some((Fact::Check, "health")), 3, 30, RUN, RestartProxy, 30),
        // A log of somebody else says so: hearsay, to be looked into.
        (ProxyGone, Some((Fact::Check, "log")), 1, 60, SUM, Probe, 60),
        (PortTaken, ANY, 1, 60, SUM, AlertUser, 60),
        (PortTaken, Some((Fact::Owner, "ours")), 1, 60, SUM, KillStaleProcesses, 60),
        (PortTaken, Some((Fact::Check, "log")), 1, 60, SUM, Ignore, 300),
        (ProxyMemoryHigh, ANY, 1, 120, SUM, ReplaceProxy, 120),
        (ProxyMemoryHigh, Some((Fact::Check, "log")), 1, 60, SUM, Ignore, 300),
        (ProxyUnresponsive, ANY, 3, 60, RUN, RestartProxy, 30),
        (ProxyUnresponsive, Some((Fact::Check, "probe")), 2, 60, RUN, RestartProxy, 30),
        (ProxyUnresponsive, Some((Fact::Check, "lag")), 5, 60, SUM, AlertUser, 300),
        (ProxyUnresponsive, Some((Fact::Check, "latency")), 1, 60, SUM, AlertUser, 1800),
        (ProxyUnresponsive, Some((Fact::Check, "log")), 1, 60, SUM, Probe, 60),
        (ProxyCrashed, ANY, 1, 60, SUM, RestartProxy, 30),
        // One request failed inside; the others live, and the process does.
        (ProxyCrashed, Some((Fact::Check, "request")), 1, 60, SUM, AlertUser, 300),
        (ProxyCrashed, Some((Fact::Check, "log")), 1, 60, SUM, Probe, 60),
        (CertificateRejected, ANY, 1, 60, SUM, AlertUser, 300),
        (NameUnresolved, ANY, 1, 60, SUM, RetryNow, 30),
        (NameUnresolved, Some((Fact::Network, "down")), 1, 60, SUM, AlertUser, 300),
        // The provider.
        (RateLimited, ANY, 1, 60, SUM, Wait, 30),
        (RateLimited, Some((Fact::Limit, "balance")), 1, 60, SUM, AlertUser, 3600),
        (ServerError, ANY, 1, 60, SUM, RetryNow, 30),
        (ServerError, ANY, 3, 120, RUN, SwitchProvider, 60),
        (KeyRefused, ANY, 1, 60, SUM, AlertUser, 300),
        (ClientVersionRefused, ANY, 1, 60, SUM, AlertUser, 300),
        (ProviderUnreachable, ANY, 1, 60, SUM, IncreaseTimeout, 30),
        (StreamInterrupted, ANY, 1, 60, SUM, Ignore, 30),
        (StreamInterrupted, ANY, 3, 60, RUN, Reconnect, 30),
        (StreamInterrupted, ANY, 6, 120, RUN, RestartProxy, 30),
        (ClientLeft, ANY, 1, 60, SUM, Ignore, 300),
        (RequestRefused, ANY, 1, 60, SUM, ClearSchemaCache, 30),
        (NoCapacity, ANY, 1, 60, SUM, SwitchProvider, 60),
        (BotFilter, ANY, 1, 60, SUM, AlertUser, 300),
        // What a model wrote. The request itself was repaired; these are about a model that does it again and again.
        (BareExplore, ANY, 1, 60, SUM, Ignore, 300),
        (BareExplore, ANY, 3, 600, SUM, ClearSchemaCache, 300),
        (BareExplore, ANY, 6, 600, SUM, SuggestModel, 600),
        (EscalationRequest, ANY, 1, 60, SUM, Ignore, 300),
        (EscalationRequest, ANY, 5, 600, SUM, SuggestProvider, 600),
        (CallNotFound, ANY, 1, 60, SUM, Ignore, 300),
        (CallNotFound, ANY, 5, 600, SUM, Diagnose, 300),
        (WrappedCommand, ANY, 1, 60, SUM, AlertUser, 300),
        (SuspiciousCommand, ANY, 1, 60, SUM, Ignore, 300),
        (SuspiciousCommand, ANY, 3, 600, SUM, ClearSchemaCache, 300),
        (SuspiciousCommand, ANY, 5, 600, SUM, AlertUser, 600),
        (EmptyCommand, ANY, 1, 60, SUM, Ignore, 300),
        (EmptyCommand, ANY, 3, 600, SUM, SuggestModel, 600),
        (LoneBrace, ANY, 1, 60, SUM, Ignore, 300),
        (LoneBrace, ANY, 5, 600, SUM, Diagnose, 300),
        (BashWithoutCommand, ANY, 1, 60, SUM, Ignore, 300),
        (BashWithoutCommand, ANY, 3, 600, SUM, Diagnose, 300),
        (ParameterSpelling, ANY, 1, 60, SUM, Ignore, 3600),
        (RepetitionLoop, ANY, 1, 60, SUM, SuggestProvider, 300),
        // The client.
        (ClientGone, ANY, 1, 60, SUM, AlertUser, 30),
        (ClientMemoryHigh, ANY, 1, 60, SUM, AlertUser, 600),
        (ClientStreamLost, ANY, 1, 60, SUM, Probe, 60),
        (ClientStreamLost, Some((Fact::Check, "probe")), 1, 60, SUM, RestartProxy, 60),
        (ClientDatabaseMalformed, ANY, 1, 60, SUM, AlertUser, 600),
        (ClientDatabaseMalformed, Some((Fact::Generated, "yes")), 1, 60, SUM, RegenerateConfig, 60),
        // Once for each thread: the thread is part of what rests.
        (ContextTooLong, ANY, 1, 60, SUM, AlertUser, 86_400),
        (ClientReconnecting, ANY, 3, 60, SUM, Probe, 60),
        (ClientReconnecting, Some((Fact::Check, "probe")), 1, 60, SUM, RestartProxy, 60),
        // Files and state.
        (LearnedStateCorrupt, ANY, 1, 60, SUM, ClearSchemaCache, 60),
        (DeadRegistryEntries, ANY, 1, 60, SUM, CleanupCodexStale, 30),
        (StaleClientPort, ANY, 1, 60, SUM, RegenerateConfig, 60),
        (LoginExpiring, ANY, 1, 60, SUM, AlertUser, 3600),
        (AllRoutesResting, ANY, 1, 60, SUM, AlertUser, 300),
        (AllRoutesResting, Some((Fact::Network, "down")), 1, 60, SUM, Ignore, 300),
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
