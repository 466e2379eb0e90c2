//! The processes of one endpoint: started when they are needed, replaced when they die, and chosen for each conversation.

use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use latimer_protocol::failure::{Failure, FailureKind};

use super::connection::Connection;
use super::health::Health;
use crate::agents::child::{Program, StopSignal};
use crate::agents::codex::config;
use crate::agents::place::AgentPlace;
use crate::agents::probe::check_login;
use crate::agents::settings::{AgentSettings, PoolStrategy};
use crate::clock;
use crate::sync::lock;

/// The processes of one endpoint.
pub struct Pool {
    settings: Arc<AgentSettings>,
    place: AgentPlace,
    members: Vec<Member>,
    round: AtomicUsize,
}

/// A place for one process.
#[derive(Default)]
struct Member {
    /// Locked while a process starts, so that everybody who needs it waits for one start.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    /// The same for those who only look.
    current: Mutex<Option<Arc<Connection>>>,
    health: Mutex<Health>,
}

/// One process as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStats {
    /// Its id, while it runs.
    pub pid: Option<u32>,
    /// How often it was started.
    pub starts: u64,
    /// Turns that run in it.
    pub running: usize,
}

impl Pool {
    /// A pool in which nothing runs yet.
    pub fn new(place: AgentPlace, settings: Arc<AgentSettings>) -> Self {
        let members = (0..settings.pool.max(1)).map(|_| Member::default()).collect();
        Self { settings, place, members, round: AtomicUsize::new(0) }
    }

    /// Where the agent lives.
    pub fn place(&self) -> &AgentPlace {
        &self.place
    }

    /// A process for a new conversation, and which it is.
    ///
    /// # Errors
    /// None can be started.
    pub async fn any(&self) -> Result<(usize, Arc<Connection>), Failure> {
        let mut last = None;
        for member in self.order() {
            match self.member(member).await {
                Ok(connection) => return Ok((member, connection)),
                // What a person has to mend is the same in every place.
                Err(failure) if failure.is_for_later() => return Err(failure),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| self.place.failure("the pool has no place")))
    }

    /// The places in the order in which they are tried.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        match self.settings.strategy {
            PoolStrategy::RoundRobin => {
                let round = self.round.fetch_add(1, Ordering::Relaxed);
                order.rotate_left(round % self.members.len().max(1));
            }
            PoolStrategy::LeastBusy => order.sort_by_key(|member| self.running(*member)),
        }
        // Those that rest after deaths come last.
        let now = clock::now();
        order.sort_by_key(|member| self.members.get(*member).map(|member| lock(&member.health).rest(now)));
        order
    }

    fn running(&self, member: usize) -> usize {
        let current = self.members.get(member).and_then(|member| lock(&member.current).clone());
        current.map_or(0, |connection| connection.running())
    }

    /// The process of a place, if it runs.
    pub fn current(&self, member: usize) -> Option<Arc<Connection>> {
        let current = lock(&self.members.get(member)?.current).clone();
        current.filter(|connection| connection.is_alive())
    }

    /// The processes that run.
    pub fn alive(&self) -> impl Iterator<Item = Arc<Connection>> {
        (0..self.members.len()).filter_map(|member| self.current(member))
    }

    /// The process of a place, started if need be. Whoever comes meanwhile waits for the same start.
    ///
    /// # Errors
    /// It cannot be started, or rests after deaths.
    pub async fn member(&self, number: usize) -> Result<Arc<Connection>, Failure> {
        let member =
            self.members.get(number).ok_or_else(|| self.place.failure("the pool has no such place"))?;
        let mut connection = member.connection.lock().await;
        match connection.take() {
            Some(alive) if alive.is_alive() => {
                *connection = Some(Arc::clone(&alive));
                return Ok(alive);
            }
            Some(_) => lock(&member.health).died(clock::now()),
            None => {}
        }
        *lock(&member.current) = None;
        let rest = lock(&member.health).rest(clock::now());
        if rest > self.settings.limits.start {
            let name = &self.place.endpoint;
            let message =
                format!("{name}: the agent died too often; it is started again in {} s", rest.as_secs() + 1);
            return Err(Failure {
                retry_after: Some(rest),
                ..Failure::new(FailureKind::Overloaded, message)
            });
        }
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        match self.start(number).await {
            Ok(started) => {
                lock(&member.health).started();
                *lock(&member.current) = Some(Arc::clone(&started));
                *connection = Some(Arc::clone(&started));
                Ok(started)
            }
            // What a person has to mend, and want of room, is no death.
            Err(failure) if failure.is_for_later() => Err(failure),
            Err(failure) => {
                lock(&member.health).died(clock::now());
                Err(failure)
            }
        }
    }

    async fn start(&self, number: usize) -> Result<Arc<Connection>, Failure> {
        self.place.prepare()?;
        let path = self.place.program()?;
        check_login(&self.place, &self.settings)?;
        if self.place.is_home_private() {
            let text =
                config::file(&self.settings).map_err(|error| self.place.failure(&error.to_string()))?;
            self.place.keep("config.toml", text.as_bytes())?;
        }
        let mark = self.place.mark();
        let home = OsString::from(self.place.home());
        let program = Program {
            path: &path,
            args: vec!["app-server".into()],
            environment: self.place.environment(&mark, &[("CODEX_HOME", home)]),
            cwd: &self.place.cwd(),
            stop: StopSignal::EndOfInput,
            mark,
            agents: &self.place.agents,
        };
        // The first one stays, so that there is always one that is warm.
        Connection::start(program, &self.settings, &self.place.endpoint, number > 0).await
    }

    /// A turn came to its end in a place.
    pub fn worked(&self, member: usize) {
        if let Some(member) = self.members.get(member) {
            lock(&member.health).worked();
        }
    }

    /// Every place as people are told of it.
    pub fn stats(&self) -> Vec<MemberStats> {
        let stats = |(number, member): (usize, &Member)| {
            // One lock after the other: the end of a turn takes both.
            let current = self.current(number);
            let running = current.as_ref().map_or(0, |connection| connection.running());
            let starts = lock(&member.health).starts;
            MemberStats { pid: current.map(|connection| connection.pid()), starts, running }
        };
        self.members.iter().enumerate().map(stats).collect()
    }

    /// Ends all processes, and waits until they are gone.
    pub async fn shutdown(&self) {
        for member in &self.members {
            let connection = lock(&member.current).take();
            if let Some(connection) = connection {
                connection.close().await;
            }
        }
    }
}
