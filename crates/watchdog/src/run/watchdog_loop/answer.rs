//! What people ask by the control socket, and how things stand.

use std::time::Duration;

use latimer_protocol::status::UnknownFault;
use serde_json::{Value, json};

use super::super::control::{PendingRequest, Request};
use super::super::registry::Role;
use super::super::status::{ClientStatus, PendingAction, ProxyStatus, WatchdogPhase, WatchdogStatus};
use super::WatchdogLoop;
use crate::ids::ActionId;
use crate::signal::{PersonRequest, Signal};

impl WatchdogLoop {
    /// Answers a person; true when that ends the watchdog.
    pub(super) fn answer(&mut self, pending_request: PendingRequest) -> bool {
        let answer = match pending_request.request {
            Request::Status => serde_json::to_value(self.status()).map_err(|error| error.to_string()),
            Request::Upgrade if self.stopping => Err("the watchdog is stopping".to_owned()),
            Request::Upgrade => {
                self.upgrades.push(pending_request.reply);
                self.hear(Signal::Person(PersonRequest::Upgrade));
                return false;
            }
            Request::Stop => {
                let _ = pending_request.reply.send(Ok(Value::Null));
                return true;
            }
            Request::Cancel { id } => Ok(self.cancel(id)),
            Request::Silence { fault, seconds } => self.silence(&fault, seconds),
            Request::Export => Ok(self.parts.decider.export(self.clock.now())),
            Request::Start => {
                self.hear(Signal::Person(PersonRequest::Start));
                Ok(Value::Null)
            }
            Request::Restart => {
                self.hear(Signal::Person(PersonRequest::Restart));
                Ok(Value::Null)
            }
            Request::Accept { id } if !self.parts.decider.is_offered(ActionId(id)) => Err(format!(
                "nothing is offered under the number {id}; `latimer-watchdog status` lists the alerts and what they offer"
            )),
            Request::Accept { id } => {
                self.hear(Signal::Person(PersonRequest::Accepted { id: ActionId(id) }));
                Ok(Value::Null)
            }
        };
        let _ = pending_request.reply.send(answer);
        false
    }

    fn cancel(&mut self, id: Option<u64>) -> Value {
        let all: Vec<ActionId> = self.pending.iter().map(|pending| pending.0).collect();
        let chosen: Vec<ActionId> =
            all.into_iter().filter(|known| id.is_none_or(|id| known.0 == id)).collect();
        self.pending.retain(|pending| !chosen.contains(&pending.0));
        for id in &chosen {
            self.hear(Signal::Person(PersonRequest::Cancelled { id: *id }));
        }
        json!({ "cancelled": chosen })
    }

    fn silence(&mut self, fault: &str, seconds: Option<u64>) -> Result<Value, String> {
        let fault = fault.parse().map_err(|error: UnknownFault| error.to_string())?;
        let person = if seconds == Some(0) {
            PersonRequest::Unsilence { fault }
        } else {
            let until = seconds.map(|seconds| self.clock.now().plus(Duration::from_secs(seconds)));
            PersonRequest::Silence { fault, until }
        };
        self.hear(Signal::Person(person));
        Ok(json!({ "fault": fault.code() }))
    }

    fn status(&self) -> WatchdogStatus {
        let supervisor = &self.parts.supervisor;
        let proxy = supervisor.current().map(|identity| {
            let stats = identity.stats();
            ProxyStatus {
                pid: identity.pid,
                uptime_s: supervisor.since().map_or(0, |since| since.elapsed().as_secs()),
                well: supervisor.is_well(),
                memory_bytes: stats.memory,
                descriptors: stats.descriptors,
            }
        });
        let clients = self.parts.registry.living(Role::Client).into_iter().map(|entry| ClientStatus {
            pid: entry.identity.pid,
            name: entry.name,
            memory_bytes: entry.identity.stats().memory,
        });
        let now = self.clock.now();
        let pending = self.pending.iter().map(|(id, at, action)| PendingAction {
            id: id.0,
            action: (*action).to_owned(),
            in_ms: u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX),
        });
        WatchdogStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.begun.elapsed().as_secs(),
            address: self.parts.address.to_string(),
            phase: self.phase(),
            proxy,
            starts: self.starts,
            alerts: self.parts.alerts.list(),
            pending: pending.collect(),
            clients: clients.collect(),
        }
    }

    fn phase(&self) -> WatchdogPhase {
        let supervisor = &self.parts.supervisor;
        if self.stopping {
            WatchdogPhase::Stopping
        } else if self.maintenance.is_some() {
            WatchdogPhase::Holding
        } else if supervisor.is_replacing() {
            WatchdogPhase::Replacing
        } else if supervisor.is_well() {
            WatchdogPhase::Serving
        } else {
            WatchdogPhase::Starting
        }
    }
}
