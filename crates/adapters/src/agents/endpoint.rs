//! What every endpoint has that is an agent: its settings, its place on disk and its places for turns; how a turn is written for it and
//! read again.

use std::path::PathBuf;
use std::sync::Arc;

use latimer_protocol::failure::{Failure, FailureKind};

use super::admission::Admission;
use super::place::AgentPlace;
use super::query::{self, AgentQuery};
use super::settings::AgentSettings;
use super::thread_book::ThreadBook;
use crate::prepared_request::{PreparedRequest, TurnInput};

/// How busy an agent is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentLoad {
    /// Turns that run.
    pub running: usize,
    /// Turns that wait for a place.
    pub waiting: usize,
    /// Conversations that can be gone on with; `None` where none is kept.
    pub threads: Option<usize>,
    /// What runs for it, or may.
    pub processes: Vec<AgentProcess>,
}

/// One process of an agent. What is not known of it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProcess {
    /// Its id, while it runs.
    pub pid: Option<u32>,
    /// How often it was started.
    pub starts: Option<u64>,
    /// Turns that run in it.
    pub running: Option<usize>,
}

/// One endpoint that is an agent, without what its protocol keeps of conversations.
#[derive(Debug)]
pub struct AgentEndpoint {
    /// As configured.
    pub settings: Arc<AgentSettings>,
    /// Its folders and its program.
    pub place: AgentPlace,
    /// How many turns run at once.
    pub admission: Admission,
}

impl AgentEndpoint {
    /// An endpoint of this name, below the folder of all agents. Starts nothing.
    pub fn new(agents: PathBuf, name: &str, settings: AgentSettings) -> Self {
        Self {
            place: AgentPlace::new(agents, name, &settings),
            admission: Admission::new(&settings),
            settings: Arc::new(settings),
        }
    }

    /// What the configuration calls it.
    pub fn name(&self) -> &str {
        &self.place.endpoint
    }

    /// Writes the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        query::prepare(input.turn, &self.settings, self.name())
    }

    /// What was written, read again.
    ///
    /// # Errors
    /// It cannot be read, or the agent cannot be asked it.
    pub fn query(&self, prepared: &PreparedRequest) -> Result<AgentQuery, Failure> {
        let query = AgentQuery::of(prepared).ok_or_else(|| self.bad("the request cannot be read"))?;
        match &query.refusal {
            Some(why) => Err(self.bad(why)),
            None => Ok(query),
        }
    }

    /// The conversations that it is known to have had, where the settings keep them over a restart.
    pub fn threads(&self) -> ThreadBook<String> {
        let limits = self.settings.threads;
        if limits.ephemeral {
            return ThreadBook::new(limits.keep as usize, limits.life);
        }
        ThreadBook::kept(limits.keep as usize, limits.life, &self.place.threads_file())
    }

    /// How many turns run, and how many wait for a place.
    pub fn load(&self) -> (usize, usize) {
        (self.admission.running(), self.admission.waiting())
    }

    /// How busy it is, with so many conversations that can be gone on with.
    pub fn report(&self, threads: Option<usize>) -> AgentLoad {
        let (running, waiting) = self.load();
        let process = |child: super::processes::ProcessId| AgentProcess {
            pid: Some(child.pid),
            starts: None,
            running: None,
        };
        let processes = self.place.children().into_iter().map(process).collect();
        AgentLoad { running, waiting, threads, processes }
    }

    /// A failure of the request, in these words.
    pub fn bad(&self, why: &str) -> Failure {
        Failure::new(FailureKind::BadRequest, format!("{}: {why}", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::TurnRequest;

    use super::*;
    use crate::agents::settings::AgentProgram;

    #[test]
    fn a_request_that_cannot_be_asked_or_read_is_a_bad_one() {
        let settings = AgentSettings::usual(AgentProgram::CodexExec);
        let endpoint = AgentEndpoint::new(PathBuf::from("agents"), "lab", settings);
        let mut prepared = query::prepare(&TurnRequest::default(), &endpoint.settings, endpoint.name());
        let empty = endpoint.query(&prepared).expect_err("nothing is asked");
        assert_eq!(empty.kind, FailureKind::BadRequest);
        assert!(empty.message.starts_with("lab: there is nothing to answer"), "{}", empty.message);
        prepared.body = bytes::Bytes::from_static(b"no JSON");
        let unreadable = endpoint.query(&prepared).expect_err("no JSON");
        assert_eq!(unreadable.kind, FailureKind::BadRequest);
        assert_eq!(unreadable.message, "lab: the request cannot be read");
    }
}
