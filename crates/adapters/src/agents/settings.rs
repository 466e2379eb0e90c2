//! What a configuration says of an agent. Pure data; the file's keys are read elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use latimer_protocol::secret::Secret;
use serde_json::{Map, Value};

/// Which program it is, and which of its protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentProgram {
    /// `codex exec --json`: a process for each turn.
    CodexExec,
    /// `codex app-server`: processes that keep threads.
    CodexAppServer,
    /// `claude -p` with JSON lines both ways.
    ClaudeCode,
    /// `opencode serve`.
    OpenCode,
}

impl AgentProgram {
    /// The command that is looked for where the configuration names none.
    pub fn command(self) -> &'static str {
        match self {
            Self::CodexExec | Self::CodexAppServer => "codex",
            Self::ClaudeCode => "claude",
            Self::OpenCode => "opencode",
        }
    }

    /// Turns at once where the configuration names no number of processes.
    pub fn usual_pool(self) -> u32 {
        match self {
            Self::CodexExec => 2,
            Self::CodexAppServer | Self::ClaudeCode => 3,
            Self::OpenCode => 1,
        }
    }

    /// The longest turn where the configuration names none.
    pub fn usual_turn_limit(self) -> Duration {
        Duration::from_secs(if self == Self::CodexExec { 60 } else { 600 })
    }

    /// What is run to log in: `latimer login <this>`.
    pub fn login_name(self) -> &'static str {
        self.command()
    }
}

/// Everything a configuration says of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// Which program.
    pub program: AgentProgram,
    /// The binary: a path, or a name that is looked for on `PATH`.
    pub command: String,
    /// Where the agent keeps its login, settings and threads; `None` for a private folder of the endpoint.
    pub home: Option<PathBuf>,
    /// Where the agent works; `None` for an empty private folder.
    pub cwd: Option<PathBuf>,
    /// The model the agent asks its own provider for; `None` for the one the client names.
    pub model: Option<String>,
    /// Where the agent's model is; `None` for the vendor's own.
    pub provider: Option<AgentProvider>,
    /// Processes at most.
    pub pool: u32,
    /// Which process takes a new conversation.
    pub strategy: PoolStrategy,
    /// Whether the first process starts before the first turn.
    pub start: PoolStart,
    /// Turns at once in one process.
    pub per_process: u32,
    /// Turns that wait for a place.
    pub queue: QueueLimits,
    /// How long things may take.
    pub limits: AgentLimits,
    /// What it may do on this machine.
    pub safety: Safety,
    /// What becomes of tools that a client brings.
    pub client_tools: ClientTools,
    /// Whether the client is shown what the agent does.
    pub activity: Activity,
    /// What happens to words that come while a turn runs.
    pub steer: Steer,
    /// The conversations it keeps.
    pub threads: ThreadLimits,
    /// Tool servers that the agent is given.
    pub mcp: BTreeMap<String, McpServer>,
    /// More of Codex's own configuration, as the last word.
    pub config: Map<String, Value>,
    /// Standing instructions, before those of a client.
    pub instructions: Option<String>,
    /// A process that nothing ran in for so long is closed.
    pub idle_close: Duration,
}

impl AgentSettings {
    /// The settings where the configuration says nothing.
    pub fn usual(program: AgentProgram) -> Self {
        Self {
            program,
            command: program.command().to_owned(),
            home: None,
            cwd: None,
            model: None,
            provider: None,
            pool: program.usual_pool(),
            strategy: PoolStrategy::RoundRobin,
            start: PoolStart::Lazy,
            per_process: 4,
            queue: QueueLimits { size: 16, wait: Duration::from_secs(30) },
            limits: AgentLimits {
                start: Duration::from_secs(30),
                call: Duration::from_secs(30),
                idle: Duration::from_secs(120),
                turn: program.usual_turn_limit(),
                park: Duration::from_secs(600),
            },
            safety: Safety::default(),
            client_tools: ClientTools::Refuse,
            activity: Activity::Off,
            steer: Steer::Queue,
            threads: ThreadLimits { keep: 4096, life: Duration::from_secs(7 * 24 * 3600), ephemeral: false },
            mcp: BTreeMap::new(),
            config: Map::new(),
            instructions: None,
            idle_close: Duration::from_secs(600),
        }
    }

    /// Turns at once over all processes.
    pub fn max_turns(&self) -> usize {
        let per_process = match self.program {
            AgentProgram::CodexExec | AgentProgram::ClaudeCode => 1,
            AgentProgram::CodexAppServer | AgentProgram::OpenCode => self.per_process,
        };
        (self.pool.saturating_mul(per_process)).max(1) as usize
    }
}

/// Where an agent's own model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProvider {
    /// A Responses server for Codex, a Messages server for Claude Code, a Chat server for OpenCode.
    pub base_url: String,
    /// What it is let in with; none is sent without one.
    pub key: Option<Secret>,
}

/// Which process takes a new conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolStrategy {
    /// One after the other.
    RoundRobin,
    /// The one in which the fewest turns run.
    LeastBusy,
}

impl PoolStrategy {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 2] = [("round_robin", Self::RoundRobin), ("least_busy", Self::LeastBusy)];
}

/// When processes start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolStart {
    /// With the first turn.
    Lazy,
    /// With the proxy.
    Eager,
}

impl PoolStart {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 2] = [("lazy", Self::Lazy), ("eager", Self::Eager)];
}

/// Turns that wait for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many may wait.
    pub size: u32,
    /// How long one waits.
    pub wait: Duration,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentLimits {
    /// Until a process is ready.
    pub start: Duration,
    /// Until a call is answered.
    pub call: Duration,
    /// Without a sign of life, while no tool works.
    pub idle: Duration,
    /// A whole turn.
    pub turn: Duration,
    /// How long a turn waits for the outputs of a client's tools.
    pub park: Duration,
}

/// What an agent may do on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safety {
    /// Its own shell, files and web are on.
    pub own_tools: bool,
    /// What its commands may reach.
    pub sandbox: Sandbox,
    /// When it asks before it does something.
    pub ask: Ask,
    /// What it is answered.
    pub approvals: Approvals,
    /// A person says that a container or another sandbox stands around all of this.
    pub outside_sandbox: bool,
}

impl Default for Safety {
    fn default() -> Self {
        Self {
            own_tools: false,
            sandbox: Sandbox::ReadOnly,
            ask: Ask::Never,
            approvals: Approvals::Decline,
            outside_sandbox: false,
        }
    }
}

/// What an agent's commands may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// They read.
    ReadOnly,
    /// They write in the working folder.
    WorkspaceWrite,
    /// There is none.
    FullAccess,
}

impl Sandbox {
    /// How each is called in the file, and by Codex.
    pub const NAMES: [(&str, Self); 3] = [
        ("read-only", Self::ReadOnly),
        ("workspace-write", Self::WorkspaceWrite),
        ("danger-full-access", Self::FullAccess),
    ];

    /// As Codex spells it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, sandbox)| *sandbox == self).map_or("read-only", |(name, _)| name)
    }
}

/// When an agent asks before it does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Never: what the sandbox forbids fails.
    Never,
    /// When it wants out of the sandbox.
    OnRequest,
    /// Before everything that is not known to be harmless.
    Untrusted,
}

impl Ask {
    /// How each is called in the file, and by Codex.
    pub const NAMES: [(&str, Self); 3] =
        [("never", Self::Never), ("on-request", Self::OnRequest), ("untrusted", Self::Untrusted)];

    /// As Codex spells it for a thread.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, ask)| *ask == self).map_or("never", |(name, _)| name)
    }

    /// The nearest that Codex takes in its configuration: there it ends with an error for `untrusted` (0.169), which only a thread may have.
    pub fn name_in_config(self) -> &'static str {
        let nearest = if self == Self::Untrusted { Self::OnRequest } else { self };
        nearest.name()
    }
}

/// What an agent that asks is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approvals {
    /// No.
    Decline,
    /// Yes.
    Accept,
}

impl Approvals {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 2] = [("decline", Self::Decline), ("accept", Self::Accept)];
}

/// What becomes of tools that a client brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTools {
    /// The request is refused.
    Refuse,
    /// They are left out.
    Ignore,
    /// The agent calls them through the client.
    Forward,
}

impl ClientTools {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 3] =
        [("refuse", Self::Refuse), ("ignore", Self::Ignore), ("forward", Self::Forward)];
}

/// Whether a client is shown what an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It sees the answer only.
    Off,
    /// Each tool is a line of the thoughts.
    Summary,
}

impl Activity {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 2] = [("off", Self::Off), ("summary", Self::Summary)];
}

/// What happens to words that come while a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// They wait for its end.
    Queue,
    /// They go into it; what streams then is broken off.
    Steer,
}

impl Steer {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 2] = [("queue", Self::Queue), ("steer", Self::Steer)];
}

/// The conversations an agent keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLimits {
    /// How many are known.
    pub keep: u32,
    /// For how long.
    pub life: Duration,
    /// Nothing of them is written to disk.
    pub ephemeral: bool,
}

/// A tool server that an agent is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum McpServer {
    /// A program that speaks over its pipes.
    Program {
        /// The binary.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its environment.
        env: BTreeMap<String, String>,
    },
    /// A server on the network.
    Remote {
        /// Where it is.
        url: String,
        /// Headers of each request.
        headers: BTreeMap<String, String>,
    },
}
