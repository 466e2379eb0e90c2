//! The loop: senses in, decisions in the middle, deeds out.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Order;
use super::api::Api;
use super::control::{Ask, Request};
use super::files::Rotating;
use super::process::Identity;
use super::registry::{Registry, Role};
use super::status::{ClientStatus, Phase, ProxyStatus, Status};
use super::supervisor::{Event, News, Supervisor};

/// After the grace period of the proxy, how long until it is ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a request to stop waits for processes that were ended by force.
const BURIAL: Duration = Duration::from_secs(2);

/// Everything the loop works with.
pub struct Keeper {
    supervisor: Supervisor,
    registry: Registry,
    address: SocketAddr,
    log: Rotating,
    grace: Duration,
    begun: Instant,
    starts: u64,
    /// When the proxy is to be started, if none runs.
    start_at: Option<Instant>,
    backoff: Duration,
    stopping: bool,
    /// Who waits for the end of a replacement.
    upgrades: Vec<oneshot::Sender<Result<Value, String>>>,
}

impl Keeper {
    /// A keeper that has not begun.
    pub fn new(
        supervisor: Supervisor,
        _api: Arc<Api>,
        registry: Registry,
        address: SocketAddr,
        state_dir: &Path,
        grace: Duration,
    ) -> Self {
        Self {
            supervisor,
            registry,
            address,
            log: Rotating::open(state_dir.join("proxy.log")),
            grace,
            begun: Instant::now(),
            starts: 0,
            start_at: None,
            backoff: Duration::from_millis(100),
            stopping: false,
            upgrades: Vec::new(),
        }
    }

    /// Keeps until it is told to stop.
    pub async fn keep(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut asks: mpsc::Receiver<Ask>,
        mut orders: mpsc::Receiver<Order>,
        orphan: Option<Identity>,
        ready: impl FnOnce(SocketAddr),
    ) {
        match orphan {
            Some(orphan) => self.supervisor.adopt(orphan),
            None => self.start(),
        }
        let mut ready = Some(ready);
        loop {
            let wake = self.start_at;
            tokio::select! {
                Some(event) = events.recv() => {
                    let news = self.supervisor.hear(event);
                    if let Some(News::Up(_) | News::Replaced(_)) = &news
                        && let Some(ready) = ready.take()
                    {
                        ready(self.address);
                    }
                    if let Some(news) = news
                        && self.news(news)
                    {
                        break;
                    }
                }
                Some(ask) = asks.recv() => {
                    if self.answer(ask) {
                        break;
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Upgrade) => self.upgrade(None),
                    Some(Order::Stop) | None => break,
                },
                () = sleep_until(wake) => self.start(),
            }
        }
        self.stop(&mut events, &mut orders, &mut asks).await;
    }

    /// True when there is nothing left to keep.
    fn news(&mut self, news: News) -> bool {
        match news {
            News::Line(_, line) => self.log.line(&line),
            News::Up(_) => self.backoff = Duration::from_millis(100),
            News::Left(_) => return true,
            News::Died(..) => {
                self.start_at = Some(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(Duration::from_secs(30));
            }
            News::Ended(_) => {
                if self.supervisor.current().is_none() {
                    self.start();
                }
            }
            News::Replaced(identity) => {
                for waiting in self.upgrades.drain(..) {
                    let _ = waiting.send(Ok(serde_json::json!({ "pid": identity.pid })));
                }
            }
            News::NotReplaced(why) => {
                for waiting in self.upgrades.drain(..) {
                    let _ = waiting
                        .send(Err(format!("the new proxy does not answer, the old one goes on: {why}")));
                }
            }
        }
        false
    }

    fn start(&mut self) {
        self.start_at = None;
        match self.supervisor.start(false) {
            Ok(()) => self.starts += 1,
            Err(error) => {
                tracing::error!(event = "proxy.not_started", error = %error);
                self.start_at = Some(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(Duration::from_secs(30));
            }
        }
    }

    fn upgrade(&mut self, reply: Option<oneshot::Sender<Result<Value, String>>>) {
        match self.supervisor.replace() {
            Ok(()) => {
                self.starts += 1;
                self.upgrades.extend(reply);
            }
            Err(error) => {
                if let Some(reply) = reply {
                    let _ = reply.send(Err(format!("the new proxy cannot be started: {error}")));
                }
            }
        }
    }

    /// Answers a person; true when that ends the watchdog.
    fn answer(&mut self, ask: Ask) -> bool {
        let answer = match ask.request {
            Request::Status => serde_json::to_value(self.status()).map_err(|error| error.to_string()),
            Request::Upgrade => {
                self.upgrade(Some(ask.reply));
                return false;
            }
            Request::Stop => {
                let _ = ask.reply.send(Ok(Value::Null));
                return true;
            }
            Request::Cancel { .. } | Request::Silence { .. } => Ok(Value::Null),
        };
        let _ = ask.reply.send(answer);
        false
    }

    fn status(&self) -> Status {
        let proxy = self.supervisor.current().map(|identity| {
            let holdings = identity.holdings();
            ProxyStatus {
                pid: identity.pid,
                uptime_s: self.supervisor.since().map_or(0, |since| since.elapsed().as_secs()),
                well: self.supervisor.is_well(),
                memory_bytes: holdings.memory,
                descriptors: holdings.descriptors,
            }
        });
        let clients = self.registry.living(Role::Client).into_iter().map(|entry| ClientStatus {
            pid: entry.identity.pid,
            name: entry.name,
            memory_bytes: entry.identity.holdings().memory,
        });
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.begun.elapsed().as_secs(),
            address: self.address.to_string(),
            phase: self.phase(),
            proxy,
            starts: self.starts,
            alerts: Vec::new(),
            pending: Vec::new(),
            clients: clients.collect(),
        }
    }

    fn phase(&self) -> Phase {
        if self.stopping {
            Phase::Stopping
        } else if self.supervisor.is_replacing() {
            Phase::Replacing
        } else if self.supervisor.is_well() {
            Phase::Serving
        } else {
            Phase::Starting
        }
    }

    /// Ends every proxy: asked first, and by force when its time is over. A second order is haste.
    async fn stop(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        orders: &mut mpsc::Receiver<Order>,
        asks: &mut mpsc::Receiver<Ask>,
    ) {
        self.stopping = true;
        self.supervisor.stop();
        let mut deadline = Instant::now() + self.grace + LAST_WORDS;
        let mut forced = false;
        while !self.supervisor.is_empty() {
            tokio::select! {
                Some(event) = events.recv() => {
                    if let Some(News::Line(_, line)) = self.supervisor.hear(event) {
                        self.log.line(&line);
                    }
                }
                Some(order) = orders.recv() => {
                    if order == Order::Stop {
                        self.supervisor.stop();
                    }
                }
                Some(ask) = asks.recv() => {
                    self.answer(ask);
                }
                () = tokio::time::sleep_until(deadline) => {
                    if forced {
                        break;
                    }
                    forced = true;
                    self.supervisor.kill_all();
                    deadline = Instant::now() + BURIAL;
                }
            }
        }
    }
}

/// Waits for a moment; without one, for ever.
async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
