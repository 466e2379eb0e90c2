//! Which proxy serves, which one is to follow it, and which ones are on their way out. It starts and ends them; when, is decided
//! elsewhere.
//!
//! Invariant: it signals only processes that it started or that the registry names, by id and start time. Invariant: at most one
//! proxy serves and at most one is to follow it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::child::{self, ProcessExit, Program};
use super::clock;
use super::process::Identity;
use super::proxy_client::ProxyClient;
use super::registry::{Entry, Registry, Role};

mod event;
mod running;

pub use event::{SupervisorEvent, SupervisorInput};
use running::Running;

/// How long a proxy may take from its start until a turn through it works.
const READY_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a new proxy is tried until it answers.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// How long a proxy that was replaced may go on with its turns, and a little: it ends them itself after ten minutes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(660);
/// The longest one try may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The proxies behind one socket.
pub struct Supervisor {
    program: Program,
    listener: Option<TcpListener>,
    address: SocketAddr,
    registry: Registry,
    api: Arc<ProxyClient>,
    events: mpsc::Sender<SupervisorInput>,
    children: mpsc::Sender<child::ChildEvent>,
    current: Option<Running>,
    successor: Option<Running>,
    leaving: Vec<Running>,
}

impl Supervisor {
    /// A supervisor of a socket; without a listener, another process still holds it (see [`adopt`](Self::adopt)).
    /// Events come out of the receiver and go back in by [`hear`](Self::hear).
    pub fn new(
        program: Program,
        listener: Option<TcpListener>,
        address: SocketAddr,
        registry: Registry,
        api: Arc<ProxyClient>,
    ) -> (Self, mpsc::Receiver<SupervisorInput>) {
        let (events, receiver) = mpsc::channel(256);
        let (children, mut from_children) = mpsc::channel(64);
        let forward = events.clone();
        tokio::spawn(async move {
            while let Some(event) = from_children.recv().await {
                if forward.send(SupervisorInput::Child(event)).await.is_err() {
                    break;
                }
            }
        });
        let supervisor = Self {
            program,
            listener,
            address,
            registry,
            api,
            events,
            children,
            current: None,
            successor: None,
            leaving: Vec::new(),
        };
        (supervisor, receiver)
    }

    /// The proxy that serves or is about to.
    pub fn current(&self) -> Option<Identity> {
        self.current.map(|running| running.identity)
    }

    /// Since when the proxy that serves has run.
    pub fn since(&self) -> Option<Instant> {
        self.current.map(|running| running.since)
    }

    /// Whether the proxy that serves has answered a turn.
    pub fn is_well(&self) -> bool {
        self.current.is_some_and(|running| running.is_well)
    }

    /// Whether another proxy is being started to follow.
    pub fn is_replacing(&self) -> bool {
        self.successor.is_some()
    }

    /// Whether no process of ours is left.
    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.successor.is_none() && self.leaving.is_empty()
    }

    /// Every process of ours.
    pub fn processes(&self) -> Vec<Identity> {
        self.all().map(|running| running.identity).collect()
    }

    /// The socket, while it is ours.
    pub fn listener(&self) -> Option<&TcpListener> {
        self.listener.as_ref()
    }

    /// Keeps watch over a proxy that an earlier watchdog started.
    pub fn adopt(&mut self, identity: Identity) {
        self.current = Some(Running::new(identity));
        self.check(identity);
        let events = self.children.clone();
        tokio::spawn(async move {
            // Not our child, so the system does not tell us when it ends.
            while identity.is_alive() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let exit = ProcessExit { code: None, signal: None, last_lines: Vec::new() };
            let _ = events.send(child::ChildEvent::Ended(identity, exit)).await;
        });
    }

    /// Starts the proxy, unless one runs. In safe mode it uses nothing that was learned or kept.
    ///
    /// # Errors
    ///
    /// It cannot be started, or the port is still somebody else's.
    pub fn start(&mut self, safe: bool) -> io::Result<()> {
        if self.current.is_none() {
            let running = self.spawn(safe)?;
            self.current = Some(running);
        }
        Ok(())
    }

    /// Starts a proxy that takes over as soon as a turn through it works; until then, and if it never does, the old one serves.
    ///
    /// # Errors
    ///
    /// It cannot be started; nothing has changed then.
    pub fn replace(&mut self) -> io::Result<()> {
        if self.current.is_none() {
            return self.start(false);
        }
        if self.successor.is_none() {
            let running = self.spawn(false)?;
            self.successor = Some(running);
        }
        Ok(())
    }

    /// Ends the proxy that serves, at once and with everything it started. For one that does not answer any more.
    pub fn kill(&mut self) {
        if let Some(running) = &mut self.current {
            running.leaves(false);
            if let Err(error) = running.identity.signal_group(Signal::KILL) {
                tracing::warn!(event = "proxy.not_ended", pid = running.identity.pid, error = %error);
            }
        }
    }

    /// Asks the proxy that serves to hand over, and lets the next one start at once: they share the socket, so the turns of the
    /// old one may end by themselves.
    pub fn hand_over(&mut self) {
        if let Some(mut old) = self.current.take() {
            old.leaves(true);
            let _ = old.identity.signal(Signal::USR1);
            self.leaving.push(old);
        }
    }

    /// Asks an adopted proxy to let go of the socket that only it has, and to end with its last turn; the next start binds the
    /// port anew. Says who that was.
    pub fn release(&mut self) -> Option<Identity> {
        let mut old = self.current.take()?;
        old.leaves(true);
        let _ = old.identity.signal(Signal::USR1);
        self.leaving.push(old);
        Some(old.identity)
    }

    /// Ends those by force that were told to end and whose time is over: `grace`, or longer for one that may take its time.
    pub fn kill_overdue(&mut self, grace: Duration) {
        for running in &self.leaving {
            let Some(leaving) = running.leaving else { continue };
            let limit = if leaving.drains { grace + DRAIN_TIMEOUT } else { grace };
            if leaving.since.elapsed() > limit {
                let _ = running.identity.signal_group(Signal::KILL);
            }
        }
    }

    /// Asks every process to end: open turns get their time. A second call is a second request, which they take for haste.
    pub fn stop(&mut self) {
        for running in self.current.iter_mut().chain(&mut self.successor).chain(&mut self.leaving) {
            running.leaves(false);
            let _ = running.identity.signal(Signal::TERM);
            // One that is stopped would never hear of it.
            let _ = running.identity.signal_group(Signal::CONT);
        }
    }

    /// Ends every process at once.
    pub fn kill_all(&mut self) {
        for running in self.all() {
            let _ = running.identity.signal_group(Signal::KILL);
        }
    }

    /// Takes an event in, and says what it means.
    pub fn hear(&mut self, event: SupervisorInput) -> Option<SupervisorEvent> {
        match event {
            SupervisorInput::Child(child::ChildEvent::Line(identity, line)) => {
                Some(SupervisorEvent::Line(identity, line))
            }
            SupervisorInput::Child(child::ChildEvent::Listens(identity)) => {
                self.check(identity);
                None
            }
            SupervisorInput::Child(child::ChildEvent::Ended(identity, exit)) => self.ended(identity, exit),
            SupervisorInput::Checked(identity, result) => self.checked(identity, result),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Running> {
        self.current.iter().chain(&self.successor).chain(&self.leaving)
    }

    fn spawn(&mut self, safe: bool) -> io::Result<Running> {
        if self.listener.is_none() {
            let bound = super::socket::bind(self.address);
            self.listener = Some(bound.map_err(|trouble| io::Error::new(io::ErrorKind::AddrInUse, trouble))?);
        }
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let extra: &[&str] = if safe { &["--safe"] } else { &[] };
        let identity = child::spawn(&self.program, extra, listener, self.children.clone())?;
        let name = self.program.path.to_string_lossy().into_owned();
        let mut entry = Entry::new(identity, Role::Proxy, name);
        entry.address = Some(self.address.to_string());
        if let Err(error) = self.registry.enter(&entry) {
            tracing::warn!(event = "registry.not_written", error = %error);
        }
        tracing::info!(event = "proxy.started", pid = identity.pid, safe);
        Ok(Running::new(identity))
    }

    /// Tries turns until this process answers one.
    fn check(&self, identity: Identity) {
        let (api, events) = (Arc::clone(&self.api), self.events.clone());
        tokio::spawn(async move {
            let deadline = clock::monotonic() + READY_TIMEOUT;
            let result = loop {
                let trouble = match api.probe(PROBE_TIMEOUT).await {
                    Ok(probed) if probed.pid == Some(identity.pid) => break Ok(()),
                    Ok(_) => "another process answers".to_owned(),
                    Err(error) => error.to_string(),
                };
                if clock::monotonic() > deadline || !identity.is_alive() {
                    break Err(trouble);
                }
                tokio::time::sleep(PROBE_INTERVAL).await;
            };
            let _ = events.send(SupervisorInput::Checked(identity, result)).await;
        });
    }

    fn checked(&mut self, identity: Identity, result: Result<(), String>) -> Option<SupervisorEvent> {
        let is = |running: &Running| running.identity == identity;
        if let Some(successor) = self.successor.filter(is) {
            return match result {
                Ok(()) => {
                    self.successor = None;
                    let old = self.current.replace(Running { is_well: true, ..successor });
                    if let Some(mut old) = old {
                        old.leaves(true);
                        if let Err(error) = old.identity.signal(Signal::USR1) {
                            tracing::warn!(event = "proxy.not_told", pid = old.identity.pid, error = %error);
                        }
                        self.leaving.push(old);
                    }
                    tracing::info!(event = "proxy.replaced", pid = identity.pid);
                    Some(SupervisorEvent::Replaced(identity))
                }
                Err(trouble) => {
                    // Its end is reported by the system; until then it counts as leaving.
                    let _ = identity.signal_group(Signal::KILL);
                    self.successor = None;
                    let mut failed = successor;
                    failed.leaves(false);
                    self.leaving.push(failed);
                    Some(SupervisorEvent::NotReplaced(trouble))
                }
            };
        }
        let current = self.current.as_mut().filter(|running| is(running))?;
        if result.is_err() {
            // It runs and does not answer: that is noticed, and answered, by the health checks.
            return None;
        }
        current.is_well = true;
        Some(SupervisorEvent::Up(identity))
    }

    fn ended(&mut self, identity: Identity, exit: ProcessExit) -> Option<SupervisorEvent> {
        self.registry.leave(identity);
        let is = |running: &Running| running.identity == identity;
        if self.successor.is_some_and(|running| is(&running)) {
            self.successor = None;
            let words = exit.last_lines.last().cloned().unwrap_or_default();
            return Some(SupervisorEvent::NotReplaced(
                format!("it ended with {} {words}", exit.words()).trim().to_owned(),
            ));
        }
        if let Some(place) = self.leaving.iter().position(is) {
            self.leaving.remove(place);
            return Some(SupervisorEvent::Ended(identity, exit));
        }
        let running = self.current.filter(is)?;
        self.current = None;
        // The one that was to follow serves now: there is nobody else.
        if let Some(successor) = self.successor.take() {
            self.current = Some(successor);
        }
        tracing::info!(event = "proxy.ended", pid = identity.pid, how = %exit.words(), asked = running.leaving.is_some());
        Some(if running.leaving.is_some() {
            SupervisorEvent::Ended(identity, exit)
        } else if exit.code == Some(0) {
            SupervisorEvent::Left(identity, exit)
        } else {
            SupervisorEvent::Died(identity, exit)
        })
    }
}

#[cfg(test)]
mod tests;
