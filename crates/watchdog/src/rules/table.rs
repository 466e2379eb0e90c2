//! The table of rules as it is without a rules file. A row reads as a sentence; how to write one is in [`super::row`].

use latimer_protocol::status::Fault;

use super::row::{Row, rule};
use super::{Remedy, Rule};
use crate::pattern::Fact;

/// Every row, by fault; the rows of one fault are its steps, the mildest first.
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
        rule(ProxyGone).after(1).within(60).then(RestartProxy).rest(30),
        rule(ProxyGone)
            .when(Fact::Check, "health")
            .after(3)
            .within(30)
            .in_a_row()
            .then(RestartProxy)
            .rest(30),
        // A log of somebody else says so: hearsay, to be looked into.
        rule(ProxyGone).when(Fact::Check, "log").after(1).within(60).then(Probe).rest(60),
        rule(PortTaken).after(1).within(60).then(AlertUser).rest(60),
        rule(PortTaken).when(Fact::StateOwner, "ours").after(1).within(60).then(KillStaleProcesses).rest(60),
        rule(PortTaken).when(Fact::Check, "log").after(1).within(60).then(Ignore).rest(300),
        rule(ProxyMemoryHigh).after(1).within(120).then(ReplaceProxy).rest(120),
        rule(ProxyMemoryHigh).when(Fact::Check, "log").after(1).within(60).then(Ignore).rest(300),
        rule(ProxyUnresponsive).after(3).within(60).in_a_row().then(RestartProxy).rest(30),
        rule(ProxyUnresponsive)
            .when(Fact::Check, "probe")
            .after(2)
            .within(60)
            .in_a_row()
            .then(RestartProxy)
            .rest(30),
        rule(ProxyUnresponsive).when(Fact::Check, "lag").after(5).within(60).then(AlertUser).rest(300),
        rule(ProxyUnresponsive).when(Fact::Check, "latency").after(1).within(60).then(AlertUser).rest(1800),
        rule(ProxyUnresponsive).when(Fact::Check, "log").after(1).within(60).then(Probe).rest(60),
        rule(ProxyCrashed).after(1).within(60).then(RestartProxy).rest(30),
        // One request failed inside; the others live, and the process does.
        rule(ProxyCrashed).when(Fact::Check, "request").after(1).within(60).then(AlertUser).rest(300),
        rule(ProxyCrashed).when(Fact::Check, "log").after(1).within(60).then(Probe).rest(60),
        rule(CertificateRejected).after(1).within(60).then(AlertUser).rest(300),
        rule(NameUnresolved).after(1).within(60).then(RetryNow).rest(30),
        rule(NameUnresolved).when(Fact::Network, "down").after(1).within(60).then(AlertUser).rest(300),
        // The provider.
        rule(RateLimited).after(1).within(60).then(Wait).rest(30),
        rule(RateLimited).when(Fact::Limit, "balance").after(1).within(60).then(AlertUser).rest(3600),
        rule(ServerError).after(1).within(60).then(RetryNow).rest(30),
        rule(ServerError).after(3).within(120).in_a_row().then(SwitchProvider).rest(60),
        rule(KeyRefused).after(1).within(60).then(AlertUser).rest(300),
        rule(ClientVersionRefused).after(1).within(60).then(AlertUser).rest(300),
        rule(ProviderUnreachable).after(1).within(60).then(IncreaseTimeout).rest(30),
        rule(StreamInterrupted).after(1).within(60).then(Ignore).rest(30),
        rule(StreamInterrupted).after(3).within(60).in_a_row().then(Reconnect).rest(30),
        rule(StreamInterrupted).after(6).within(120).in_a_row().then(RestartProxy).rest(30),
        rule(ClientLeft).after(1).within(60).then(Ignore).rest(300),
        rule(RequestRefused).after(1).within(60).then(ClearSchemaCache).rest(30),
        rule(NoCapacity).after(1).within(60).then(SwitchProvider).rest(60),
        rule(BotFilter).after(1).within(60).then(AlertUser).rest(300),
        // What a model wrote. The request itself was repaired; these are about a model that does it again and again.
        rule(BareExplore).after(1).within(60).then(Ignore).rest(300),
        rule(BareExplore).after(3).within(600).then(ClearSchemaCache).rest(300),
        rule(BareExplore).after(6).within(600).then(SuggestModel).rest(600),
        rule(EscalationRequest).after(1).within(60).then(Ignore).rest(300),
        rule(EscalationRequest).after(5).within(600).then(SuggestProvider).rest(600),
        rule(CallNotFound).after(1).within(60).then(Ignore).rest(300),
        rule(CallNotFound).after(5).within(600).then(Diagnose).rest(300),
        rule(WrappedCommand).after(1).within(60).then(AlertUser).rest(300),
        rule(SuspiciousCommand).after(1).within(60).then(Ignore).rest(300),
        rule(SuspiciousCommand).after(3).within(600).then(ClearSchemaCache).rest(300),
        rule(SuspiciousCommand).after(5).within(600).then(AlertUser).rest(600),
        rule(EmptyCommand).after(1).within(60).then(Ignore).rest(300),
        rule(EmptyCommand).after(3).within(600).then(SuggestModel).rest(600),
        rule(LoneBrace).after(1).within(60).then(Ignore).rest(300),
        rule(LoneBrace).after(5).within(600).then(Diagnose).rest(300),
        rule(BashWithoutCommand).after(1).within(60).then(Ignore).rest(300),
        rule(BashWithoutCommand).after(3).within(600).then(Diagnose).rest(300),
        rule(ParameterSpelling).after(1).within(60).then(Ignore).rest(3600),
        rule(RepetitionLoop).after(1).within(60).then(SuggestProvider).rest(300),
        // The client.
        rule(ClientGone).after(1).within(60).then(AlertUser).rest(30),
        rule(ClientMemoryHigh).after(1).within(60).then(AlertUser).rest(600),
        rule(ClientStreamLost).after(1).within(60).then(Probe).rest(60),
        rule(ClientStreamLost).when(Fact::Check, "probe").after(1).within(60).then(RestartProxy).rest(60),
        rule(ClientDatabaseMalformed).after(1).within(60).then(AlertUser).rest(600),
        rule(ClientDatabaseMalformed)
            .when(Fact::Generated, "yes")
            .after(1)
            .within(60)
            .then(RegenerateConfig)
            .rest(60),
        // Once for each thread: the thread is part of what rests.
        rule(ContextTooLong).after(1).within(60).then(AlertUser).rest(86_400),
        rule(ClientReconnecting).after(3).within(60).then(Probe).rest(60),
        rule(ClientReconnecting).when(Fact::Check, "probe").after(1).within(60).then(RestartProxy).rest(60),
        // Files and state.
        rule(LearnedStateCorrupt).after(1).within(60).then(ClearSchemaCache).rest(60),
        rule(DeadRegistryEntries).after(1).within(60).then(CleanupCodexStale).rest(30),
        rule(StaleClientPort).after(1).within(60).then(RegenerateConfig).rest(60),
        rule(LoginExpiring).after(1).within(60).then(AlertUser).rest(3600),
        rule(AllRoutesResting).after(1).within(60).then(AlertUser).rest(300),
        rule(AllRoutesResting).when(Fact::Network, "down").after(1).within(60).then(Ignore).rest(300),
    ]
};

/// The rows as rules, each with its step.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::with_capacity(ROWS.len());
    for row in ROWS {
        let before = rules.iter().filter(|rule| rule.fault == row.fault()).count();
        rules.push(row.into_rule(u8::try_from(before + 1).unwrap_or(u8::MAX)));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_row_and_the_rows_of_a_fault_stand_together() {
        let rules = rules();
        let mut faults: Vec<Fault> = rules.iter().map(|rule| rule.fault).collect();
        faults.dedup();
        assert_eq!(faults, Fault::all().collect::<Vec<_>>());
    }

    #[test]
    fn a_later_step_takes_more_than_the_one_before() {
        let rules = rules();
        for pair in rules.windows(2) {
            let is_next = pair[0].fault == pair[1].fault && pair[0].when == pair[1].when;
            assert!(!is_next || pair[0].threshold < pair[1].threshold, "{}", pair[1].fault);
        }
    }
}
