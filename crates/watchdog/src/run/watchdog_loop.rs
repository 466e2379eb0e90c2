//! The loop: signals in, decisions in the middle, deeds out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::ControlSignal;
use super::actions::notify::Notifier;
use super::child::ProcessExit;
use super::clock::Clock;
use super::control::{PendingRequest, Request};
use super::decider::Decider;
use super::maintenance::MaintenanceServer;
use super::process::Identity;
use super::proxy_client::ProxyClient;
use super::registry::{Registry, Role};
use super::sensors::proxy_log;
use super::status::{ClientStatus, PendingAction, ProxyStatus, WatchdogPhase, WatchdogStatus};
use super::supervisor::{Supervisor, SupervisorEvent, SupervisorInput};
use crate::files::RotatingLog;
use crate::ids::ActionId;
use crate::signal::{self, Outcome, PersonRequest, ProxyStarted, Signal};
use crate::time::Time;

/// After the grace period of the proxy, how long until it is ended.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How long a request to stop waits for processes that were ended by force.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// How often time itself is a signal.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Makes the generated files of a client anew.
pub type Regenerate = Arc<dyn Fn(Option<&str>) -> Result<(), String> + Send + Sync>;

/// What a keeper is made of.
pub struct LoopParts {
    /// The proxies.
    pub supervisor: Supervisor,
    /// The proxy's interface.
    pub api: Arc<ProxyClient>,
    /// Who was started by whom.
    pub registry: Registry,
    /// Decides.
    pub decider: Decider,
    /// Where we listen.
    pub address: SocketAddr,
    /// Where files are.
    pub state_dir: PathBuf,
    /// How long open turns may go on after a request to stop.
    pub grace: Duration,
    /// A proxy that ends well by itself takes the watchdog along: it had nothing to do for as long as it was told.
    pub leaves_with_proxy: bool,
    /// Makes generated files anew.
    pub regenerate: Regenerate,
    /// Which alerts reach the desktop.
    pub alerts: Notifier,
    /// Tells the senses which proxy is expected to answer.
    pub serving: watch::Sender<Option<Identity>>,
    /// Where deeds that take time report.
    pub signals: mpsc::Sender<Signal>,
}

/// What comes in.
pub struct LoopInputs {
    /// From the proxies.
    pub events: mpsc::Receiver<SupervisorInput>,
    /// From the senses and from deeds.
    pub signals: mpsc::Receiver<Signal>,
    /// From people, by the control socket.
    pub asks: mpsc::Receiver<PendingRequest>,
    /// From people, by signals of the system.
    pub control_signals: mpsc::Receiver<ControlSignal>,
}

/// Everything the loop works with.
pub struct WatchdogLoop {
    pub(super) parts: LoopParts,
    pub(super) clock: Clock,
    log: RotatingLog,
    begun: Instant,
    pub(super) starts: u64,
    pub(super) maintenance: Option<MaintenanceServer>,
    /// The order to start anew that waits for the end of the old proxy, and whether it is for safe mode.
    pub(super) restarting: Option<(ActionId, bool)>,
    /// The order to replace that waits for the new proxy.
    pub(super) replacing: Option<ActionId>,
    /// When the mind wants to be told of the time.
    wake: Option<Instant>,
    stopping: bool,
    /// Who waits for the end of a replacement.
    upgrades: Vec<oneshot::Sender<Result<Value, String>>>,
    pub(super) pending: Vec<(ActionId, Time, &'static str)>,
    /// Signals that deeds gave rise to and that are heard next.
    pub(super) queue: VecDeque<Signal>,
}

impl WatchdogLoop {
    /// A keeper that has not begun.
    pub fn new(parts: LoopParts) -> Self {
        Self {
            clock: Clock::new(),
            log: RotatingLog::open(parts.state_dir.join("proxy.log")),
            parts,
            begun: Instant::now(),
            starts: 0,
            maintenance: None,
            restarting: None,
            replacing: None,
            wake: None,
            stopping: false,
            upgrades: Vec::new(),
            pending: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// Keeps until it is told to stop. A proxy that outlived its watchdog is kept on; otherwise one is started.
    pub async fn keep(
        mut self,
        mut inputs: LoopInputs,
        orphan: Option<Identity>,
        ready: impl FnOnce(SocketAddr),
    ) {
        if let Some(orphan) = orphan {
            self.parts.supervisor.adopt(orphan);
            self.hear(Signal::ProxyStarted(ProxyStarted {
                pid: orphan.pid,
                safe_mode: false,
                adopted: true,
            }));
        } else {
            self.hear(Signal::Person(PersonRequest::Start));
        }
        let mut ready = Some(ready);
        let mut tick = tokio::time::interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.wake;
            tokio::select! {
                Some(event) = inputs.events.recv() => {
                    let news = self.parts.supervisor.hear(event);
                    if let Some(SupervisorEvent::Up(_) | SupervisorEvent::Replaced(_)) = &news
                        && let Some(ready) = ready.take()
                    {
                        ready(self.parts.address);
                    }
                    if let Some(news) = news
                        && self.news(news)
                    {
                        break;
                    }
                }
                Some(signal) = inputs.signals.recv() => self.hear(signal),
                Some(ask) = inputs.asks.recv() => {
                    if self.answer(ask) {
                        break;
                    }
                }
                signal = inputs.control_signals.recv() => match signal {
                    Some(ControlSignal::Upgrade) => self.hear(Signal::Person(PersonRequest::Upgrade)),
                    Some(ControlSignal::Stop) | None => break,
                },
                _ = tick.tick() => {
                    self.parts.supervisor.reap(self.parts.grace + KILL_GRACE);
                    self.hear(Signal::Tick);
                }
                () = sleep_until(wake) => self.hear(Signal::Tick),
            }
            self.tell_senses();
        }
        self.stop(inputs).await;
    }

    /// Takes a signal in, does what is decided, and hears what that gives rise to.
    pub(super) fn hear(&mut self, signal: Signal) {
        self.queue.push_back(signal);
        self.settle();
    }

    /// Hears everything that waits to be heard.
    fn settle(&mut self) {
        while let Some(signal) = self.queue.pop_front() {
            let now = self.clock.now();
            for order in self.parts.decider.hear(signal, now) {
                self.execute(order, now);
            }
        }
        // Counted from now, where the mind has just read the clock. A little later, so that what is due has really come due.
        let wait = self.parts.decider.wake_in();
        self.wake = wait.map(|wait| Instant::now() + wait + Duration::from_millis(1));
    }

    /// Reports what became of an order.
    pub(super) fn outcome(&mut self, id: ActionId, result: Result<(), String>) {
        let (done, error) = (result.is_ok(), result.err());
        if let Some(error) = &error {
            tracing::warn!(event = "order.failed", id = id.0, error = %error);
        }
        self.queue.push_back(Signal::Outcome(Outcome { id, done, error }));
    }

    /// True when there is nothing left to keep.
    fn news(&mut self, news: SupervisorEvent) -> bool {
        match news {
            SupervisorEvent::Line(_, text) => {
                if let Some(signal) = proxy_log::read(&text) {
                    self.hear(signal);
                }
                self.log.line(&text);
            }
            SupervisorEvent::Up(identity) => self.upgraded(identity),
            SupervisorEvent::Left(_, _) if self.parts.leaves_with_proxy => return true,
            SupervisorEvent::Left(identity, exit) => {
                self.exited(identity, &exit, false);
                if let Err(error) = self.hold("it was stopped") {
                    tracing::warn!(event = "port.not_held", error = %error);
                }
            }
            SupervisorEvent::Died(identity, exit) => {
                log_last_lines(&exit);
                self.exited(identity, &exit, false);
                // Nobody is going to start it: better an answer than silence.
                if !self.parts.decider.settings().auto_restart
                    && self.parts.supervisor.current().is_none()
                    && let Err(error) = self.hold("it ended, and `watchdog.auto_restart` is off")
                {
                    tracing::warn!(event = "port.not_held", error = %error);
                }
            }
            SupervisorEvent::Ended(identity, exit) => {
                // An order to start anew waits for this.
                if self.parts.supervisor.current().is_none()
                    && let Some((id, safe)) = self.restarting.take()
                {
                    self.exited(identity, &exit, true);
                    let started = self.start(safe);
                    self.outcome(id, started);
                    self.settle();
                    return false;
                }
                self.exited(identity, &exit, true);
            }
            SupervisorEvent::Replaced(identity) => {
                self.upgraded(identity);
                let started = ProxyStarted { pid: identity.pid, safe_mode: false, adopted: false };
                self.queue.push_back(Signal::ProxyStarted(started));
                if let Some(id) = self.replacing.take() {
                    self.outcome(id, Ok(()));
                }
                self.settle();
            }
            SupervisorEvent::NotReplaced(why) => self.not_replaced(&why),
        }
        false
    }

    /// Whoever waits for a new proxy is told that it serves.
    fn upgraded(&mut self, identity: Identity) {
        for waiting in self.upgrades.drain(..) {
            let _ = waiting.send(Ok(json!({ "pid": identity.pid })));
        }
    }

    pub(super) fn not_replaced(&mut self, why: &str) {
        let text = format!("the new proxy does not answer, the old one goes on: {why}");
        for waiting in self.upgrades.drain(..) {
            let _ = waiting.send(Err(text.clone()));
        }
        if let Some(id) = self.replacing.take() {
            self.outcome(id, Err(text));
            self.settle();
        }
    }

    fn exited(&mut self, identity: Identity, exit: &ProcessExit, wanted: bool) {
        self.hear(Signal::ProxyExited(signal::ProxyExit {
            pid: identity.pid,
            code: exit.code,
            signal: exit.signal,
            wanted,
        }));
    }

    /// Answers a person; true when that ends the watchdog.
    fn answer(&mut self, ask: PendingRequest) -> bool {
        let answer = match ask.request {
            Request::Status => serde_json::to_value(self.status()).map_err(|error| error.to_string()),
            Request::Upgrade if self.stopping => Err("the watchdog is stopping".to_owned()),
            Request::Upgrade => {
                self.upgrades.push(ask.reply);
                self.hear(Signal::Person(PersonRequest::Upgrade));
                return false;
            }
            Request::Stop => {
                let _ = ask.reply.send(Ok(Value::Null));
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
            Request::Accept { id } => {
                self.hear(Signal::Person(PersonRequest::Accepted { id: ActionId(id) }));
                Ok(Value::Null)
            }
        };
        let _ = ask.reply.send(answer);
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
        let fault =
            fault.parse().map_err(|error: latimer_protocol::status::UnknownFault| error.to_string())?;
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

    /// The senses ask the proxy that serves, and nobody while there is none.
    fn tell_senses(&self) {
        let serving = self.parts.supervisor.current().filter(|_| self.maintenance.is_none());
        self.parts.serving.send_if_modified(|known| std::mem::replace(known, serving) != serving);
    }

    /// Ends every proxy: asked first, and by force when its time is over. A second wish is haste.
    async fn stop(&mut self, mut inputs: LoopInputs) {
        self.stopping = true;
        self.maintenance = None;
        self.parts.serving.send_replace(None);
        self.parts.supervisor.stop();
        let mut deadline = Instant::now() + self.parts.grace + KILL_GRACE;
        let mut forced = false;
        while !self.parts.supervisor.is_empty() {
            tokio::select! {
                Some(event) = inputs.events.recv() => {
                    if let Some(SupervisorEvent::Line(_, line)) = self.parts.supervisor.hear(event) {
                        self.log.line(&line);
                    }
                }
                Some(signal) = inputs.control_signals.recv() => {
                    if signal == ControlSignal::Stop {
                        self.parts.supervisor.stop();
                    }
                }
                Some(ask) = inputs.asks.recv() => {
                    self.answer(ask);
                }
                () = tokio::time::sleep_until(deadline) => {
                    if forced {
                        break;
                    }
                    forced = true;
                    self.parts.supervisor.kill_all();
                    deadline = Instant::now() + KILL_WAIT;
                }
            }
        }
        let now = self.clock.now();
        self.parts.decider.save(now);
    }
}

fn log_last_lines(exit: &ProcessExit) {
    for words in &exit.last_lines {
        tracing::warn!(event = "proxy.last_words", words = %words);
    }
}

/// Waits for a moment; without one, for ever.
async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
