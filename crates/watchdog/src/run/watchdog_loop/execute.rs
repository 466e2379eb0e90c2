//! From an order to its execution.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::actions::{capture, cleanup, routes};
use super::super::clock;
use super::super::maintenance::MaintenanceServer;
use super::super::sensors::health::probe_once;
use super::super::socket::BindError;
use super::WatchdogLoop;
use crate::action::{Action, Order};
use crate::diagnose::Report;
use crate::ids::{ActionId, ProcessId};
use crate::signal::{BindConflict, Diagnosis, Outcome, PortOwner, ProxyExit, ProxyStarted, Signal};
use crate::time::Time;

/// How long an adopted proxy may take to let go of its socket.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the port is tried meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

impl WatchdogLoop {
    /// Carries out an order, or begins to; what becomes of it is a signal.
    pub(super) fn execute(&mut self, order: Order, now: Time) {
        let Order { id, fault, why, action, .. } = order;
        self.pending.retain(|pending| pending.0 != id);
        match &action {
            Action::Alert(_) | Action::Announce { .. } | Action::Ignore => {}
            _ => {
                let fault = fault.map(latimer_protocol::status::Fault::code);
                tracing::info!(event = "order", id = id.0, fault, action = action.name(), why = %why);
            }
        }
        match action {
            Action::Start { safe_mode } => {
                let started = self.start(safe_mode);
                self.outcome(id, started);
            }
            Action::Restart { safe_mode, hung } => self.restart(id, safe_mode, hung, now),
            Action::Replace => self.replace(id),
            Action::Stop => {
                self.parts.supervisor.stop();
                self.outcome(id, Ok(()));
            }
            Action::HoldPort { cause } => {
                let held = self.hold(&cause);
                self.outcome(id, held);
            }
            Action::RegenerateConfig { client } => {
                let regenerated = self.regenerate(client.as_deref());
                self.outcome(id, regenerated);
            }
            Action::CleanState { processes } => {
                cleanup::clean(&self.parts.registry, &processes);
                self.outcome(id, Ok(()));
            }
            Action::Alert(alert) => self.parts.alerts.tell(fault, &alert, now),
            Action::Announce { id, at, action } => self.pending.push((id, at, action.name())),
            Action::Ignore => {}
            Action::Diagnose(report) => self.diagnose(id, report),
            action => self.begin(id, action, why, now),
        }
    }

    /// Starts a proxy; none runs.
    pub(super) fn start(&mut self, safe: bool) -> Result<(), String> {
        if let Some(running) = self.parts.supervisor.current() {
            return Err(format!("a proxy runs already (process {})", running.pid));
        }
        self.maintenance = None;
        match self.parts.supervisor.start(safe) {
            Ok(()) => {
                self.starts += 1;
                let pid = self.parts.supervisor.current().map_or(0, |identity| identity.pid);
                self.queue.push_back(Signal::ProxyStarted(ProxyStarted {
                    pid,
                    safe_mode: safe,
                    adopted: false,
                }));
                Ok(())
            }
            Err(error) => {
                self.not_started(&error);
                Err(error.to_string())
            }
        }
    }

    /// A port that is somebody else's is a fault of its own.
    fn not_started(&mut self, error: &io::Error) {
        let trouble = error.get_ref().and_then(|inner| inner.downcast_ref::<BindError>());
        if let Some(BindError::Taken { address, owner }) = trouble {
            let owner = owner.as_ref().map(|(pid, name)| self.owner(*pid, name));
            self.queue.push_back(Signal::BindConflict(BindConflict { port: address.port(), owner }));
        }
    }

    fn owner(&self, pid: u32, name: &str) -> PortOwner {
        let known = self.parts.registry.all();
        let ours = known.iter().find(|entry| entry.identity.pid == pid && entry.identity.is_alive());
        let started = ours.map_or(0, |entry| entry.identity.started);
        PortOwner { process: ProcessId { pid, started }, name: name.to_owned(), ours: ours.is_some() }
    }

    fn restart(&mut self, id: ActionId, safe: bool, hung: bool, now: Time) {
        let Some(running) = self.parts.supervisor.current() else {
            let started = self.start(safe);
            self.outcome(id, started);
            return;
        };
        if hung {
            match capture::capture(running, &self.parts.state_dir, now.as_secs()) {
                Ok(path) => tracing::info!(event = "proxy.captured", file = %path.display()),
                Err(error) => tracing::warn!(event = "proxy.not_captured", error = %error),
            }
            // The next one is started when this one's end is reported, which is at once.
            self.restarting = Some((id, safe));
            self.parts.supervisor.kill();
        } else if self.parts.supervisor.listener().is_some() {
            self.parts.supervisor.hand_over();
            let started = self.start(safe);
            self.outcome(id, started);
        } else {
            self.release(id);
        }
    }

    /// An adopted proxy without its socket: it ends first, and is then started like one that died.
    fn release(&mut self, id: ActionId) {
        let released = self.parts.supervisor.release();
        self.outcome(id, Ok(()));
        let Some(old) = released else { return };
        let (address, signals) = (self.parts.address, self.parts.signals.clone());
        tokio::spawn(async move {
            let begun = clock::monotonic();
            while std::net::TcpListener::bind(address).is_err() && begun.elapsed() < RELEASE_TIMEOUT {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            let exit = ProxyExit { pid: old.pid, ..ProxyExit::default() };
            let _ = signals.send(Signal::ProxyExited(exit)).await;
        });
    }

    fn replace(&mut self, id: ActionId) {
        self.maintenance = None;
        if self.parts.supervisor.listener().is_none() && self.parts.supervisor.current().is_some() {
            return self.release(id);
        }
        let was_none = self.parts.supervisor.current().is_none();
        match self.parts.supervisor.replace() {
            Ok(()) if was_none => {
                self.starts += 1;
                self.outcome(id, Ok(()));
            }
            Ok(()) => {
                self.starts += 1;
                self.replacing = Some(id);
            }
            Err(error) => {
                self.replacing = Some(id);
                self.not_replaced(&error.to_string());
            }
        }
    }

    pub(super) fn hold(&mut self, cause: &str) -> Result<(), String> {
        let Some(listener) = self.parts.supervisor.listener() else {
            return Err("the port is not ours".to_owned());
        };
        let message = format!(
            "the latimer proxy does not run: {cause}; `latimer-watchdog status` says more, `latimer-watchdog start` tries again"
        );
        self.maintenance =
            Some(MaintenanceServer::begin(listener, &message).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn regenerate(&self, client: Option<&str>) -> Result<(), String> {
        if client.is_none_or(|client| client == "latimer") {
            let current = self.parts.supervisor.current();
            cleanup::announce(&self.parts.state_dir, self.parts.address, current)
                .map_err(|error| error.to_string())?;
        }
        if client == Some("latimer") { Ok(()) } else { (self.parts.regenerate)(client) }
    }

    /// Begins work that waits for something; it reports by itself.
    fn begin(&self, id: ActionId, action: Action, why: String, now: Time) {
        let (api, signals) = (Arc::clone(&self.parts.api), self.parts.signals.clone());
        let (registry, state_dir) = (self.parts.registry.clone(), self.parts.state_dir.clone());
        tokio::spawn(async move {
            let result = match &action {
                Action::KillStale { processes } => cleanup::end_stale(&registry, processes).await,
                Action::ClearCapabilities { endpoint } => {
                    let timeout = Duration::from_secs(5);
                    match (api.forget(endpoint.as_deref(), timeout).await, endpoint) {
                        (Ok(()), _) => Ok(()),
                        // Without a proxy, the file is moved away: it is the truth, and forgetting is its absence.
                        (Err(_), None) => cleanup::set_learned_aside(&state_dir, now.as_secs())
                            .map_err(|error| error.to_string()),
                        (Err(error), Some(_)) => Err(error.to_string()),
                    }
                }
                Action::Probe => {
                    let _ = signals.send(probe_once(&api).await).await;
                    Ok(())
                }
                action => match routes::execute(&api, action, &why, now).await {
                    Some(result) => result.map_err(|error| error.to_string()),
                    None => Err(format!("nobody carries out `{}`", action.name())),
                },
            };
            if let Err(error) = &result {
                tracing::warn!(event = "order.failed", id = id.0, error = %error);
            }
            let outcome = Outcome { id, done: result.is_ok(), error: result.err() };
            let _ = signals.send(Signal::Outcome(outcome)).await;
        });
    }

    /// Asks a model, through the proxy: it has the credentials, and the answer is on its account.
    fn diagnose(&self, id: ActionId, report: Report) {
        let (api, signals) = (Arc::clone(&self.parts.api), self.parts.signals.clone());
        let model = self.parts.decider.diagnosing_model();
        tokio::spawn(async move {
            let reply = match model {
                Some(model) => api.ask_model(&model, &report).await.ok(),
                None => None,
            };
            let diagnosis = reply.map_or(Diagnosis { id, ..Diagnosis::default() }, |reply| Diagnosis {
                id,
                reply: Some(reply.text),
                input_tokens: reply.input_tokens,
                output_tokens: reply.output_tokens,
                cost_micros: None,
            });
            let _ = signals.send(Signal::Diagnosis(diagnosis)).await;
        });
    }
}
