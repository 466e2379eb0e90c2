//! The loop: signals in, decisions in the middle, execution out.

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
use super::clock::{self, Clock};
use super::control::PendingRequest;
use super::decider::Decider;
use super::maintenance::MaintenanceServer;
use super::process::Identity;
use super::proxy_client::ProxyClient;
use super::registry::Registry;
use super::sensors::proxy_log;
use super::supervisor::{Supervisor, SupervisorEvent, SupervisorInput};
use crate::files::RotatingLog;
use crate::ids::ActionId;
use crate::signal::{self, Outcome, PersonRequest, ProxyStarted, Signal};
use crate::time::Time;

mod answer;
mod execute;

/// After the grace period of the proxy, how long until it is ended.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How long a request to stop waits for processes that were ended by force.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// How often time itself is a signal.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Makes the generated files of a client anew.
pub type Regenerate = Arc<dyn Fn(Option<&str>) -> Result<(), String> + Send + Sync>;

/// What the loop works with.
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
    /// Where the outcome of work that takes time is reported.
    pub signals: mpsc::Sender<Signal>,
}

/// What comes in.
pub struct LoopInputs {
    /// From the proxies.
    pub events: mpsc::Receiver<SupervisorInput>,
    /// From the sensors, and outcomes of work that took time.
    pub signals: mpsc::Receiver<Signal>,
    /// From people, by the control socket.
    pub requests: mpsc::Receiver<PendingRequest>,
    /// From people, by signals of the system.
    pub control_signals: mpsc::Receiver<ControlSignal>,
}

/// Everything the loop works with.
pub struct WatchdogLoop {
    parts: LoopParts,
    clock: Clock,
    log: RotatingLog,
    begun: Instant,
    starts: u64,
    maintenance: Option<MaintenanceServer>,
    /// The order to start anew that waits for the end of the old proxy, and whether it is for safe mode.
    restarting: Option<(ActionId, bool)>,
    /// The order to replace that waits for the new proxy.
    replacing: Option<ActionId>,
    /// When the next order is due.
    wake: Option<Instant>,
    stopping: bool,
    /// Who waits for the end of a replacement.
    upgrades: Vec<oneshot::Sender<Result<Value, String>>>,
    pending: Vec<(ActionId, Time, &'static str)>,
    /// Signals that executing an order gave rise to, handled next.
    queue: VecDeque<Signal>,
}

impl WatchdogLoop {
    /// A loop that has not begun.
    pub fn new(parts: LoopParts) -> Self {
        Self {
            clock: Clock::new(),
            log: RotatingLog::open(parts.state_dir.join("proxy.log")),
            parts,
            begun: clock::monotonic(),
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
    pub async fn run(
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
                    let supervisor_event = self.parts.supervisor.hear(event);
                    if let Some(SupervisorEvent::Up(_) | SupervisorEvent::Replaced(_)) = &supervisor_event
                        && let Some(ready) = ready.take()
                    {
                        ready(self.parts.address);
                    }
                    if let Some(supervisor_event) = supervisor_event
                        && self.supervisor_event(supervisor_event)
                    {
                        break;
                    }
                }
                Some(signal) = inputs.signals.recv() => self.hear(signal),
                Some(pending_request) = inputs.requests.recv() => {
                    if self.answer(pending_request) {
                        break;
                    }
                }
                signal = inputs.control_signals.recv() => match signal {
                    Some(ControlSignal::Upgrade) => self.hear(Signal::Person(PersonRequest::Upgrade)),
                    Some(ControlSignal::Stop) | None => break,
                },
                _ = tick.tick() => {
                    self.parts.supervisor.kill_overdue(self.parts.grace + KILL_GRACE);
                    self.hear(Signal::Tick);
                }
                () = sleep_until(wake) => self.hear(Signal::Tick),
            }
            self.update_serving();
        }
        self.stop(inputs).await;
    }

    /// Takes a signal in, does what is decided, and hears what that gives rise to.
    fn hear(&mut self, signal: Signal) {
        self.queue.push_back(signal);
        self.drain_queue();
    }

    /// Hears everything that waits to be heard.
    fn drain_queue(&mut self) {
        while let Some(signal) = self.queue.pop_front() {
            let now = self.clock.now();
            for order in self.parts.decider.hear(signal, now) {
                self.execute(order, now);
            }
        }
        // Counted from now, where the decider has just read the clock. A little later, so that what is due has really come due.
        let wait = self.parts.decider.wake_in();
        self.wake = wait.map(|wait| clock::monotonic() + wait + Duration::from_millis(1));
    }

    /// Reports what became of an order.
    fn outcome(&mut self, id: ActionId, result: Result<(), String>) {
        let (done, error) = (result.is_ok(), result.err());
        if let Some(error) = &error {
            tracing::warn!(event = "order.failed", id = id.0, error = %error);
        }
        self.queue.push_back(Signal::Outcome(Outcome { id, done, error }));
    }

    /// True when there is nothing left to keep.
    fn supervisor_event(&mut self, supervisor_event: SupervisorEvent) -> bool {
        match supervisor_event {
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
                    self.drain_queue();
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
                self.drain_queue();
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

    fn not_replaced(&mut self, why: &str) {
        let text = format!("the new proxy does not answer, the old one goes on: {why}");
        for waiting in self.upgrades.drain(..) {
            let _ = waiting.send(Err(text.clone()));
        }
        if let Some(id) = self.replacing.take() {
            self.outcome(id, Err(text));
            self.drain_queue();
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

    /// The senses ask the proxy that serves, and nobody while there is none.
    fn update_serving(&self) {
        let serving = self.parts.supervisor.current().filter(|_| self.maintenance.is_none());
        self.parts.serving.send_if_modified(|known| std::mem::replace(known, serving) != serving);
    }

    /// Ends every proxy: asked first, and by force when its time is over. A second request is haste.
    async fn stop(&mut self, mut inputs: LoopInputs) {
        self.stopping = true;
        self.maintenance = None;
        self.parts.serving.send_replace(None);
        self.parts.supervisor.stop();
        let mut deadline = clock::monotonic() + self.parts.grace + KILL_GRACE;
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
                Some(pending_request) = inputs.requests.recv() => {
                    self.answer(pending_request);
                }
                () = tokio::time::sleep_until(deadline) => {
                    if forced {
                        break;
                    }
                    forced = true;
                    self.parts.supervisor.kill_all();
                    deadline = clock::monotonic() + KILL_WAIT;
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
