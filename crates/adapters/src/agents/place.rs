//! Where an agent lives on disk: its private home, the empty folder it works in, a folder for each turn, and its program.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use latimer_protocol::failure::{self, Failure, FailureKind};

use super::children;
use super::environment::environment;
use super::processes::ProcessId;
use super::settings::{AgentProgram, AgentSettings};
use crate::sync::lock;

/// Counts marks and folders of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The folders and the program of one endpoint.
#[derive(Debug)]
pub struct AgentPlace {
    /// The folder of all agents.
    pub agents: PathBuf,
    /// The endpoint's name.
    pub endpoint: String,
    home: PathBuf,
    /// The home is latimer's own, so that it may be written to.
    is_home_private: bool,
    cwd: Option<PathBuf>,
    command: String,
    agent: AgentProgram,
    /// Found once; looked for again as long as it is not there.
    program: Mutex<Option<PathBuf>>,
    /// What of an earlier proxy's turns was left is removed once.
    is_clean: OnceLock<()>,
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct TurnFolder {
    /// Where it is.
    pub path: PathBuf,
}

impl Drop for TurnFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl TurnFolder {
    /// Writes a private file into it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        latimer_files::create_new(&path, bytes)?;
        Ok(path)
    }
}

impl AgentPlace {
    /// The place of an endpoint below the folder of all agents.
    pub fn new(agents: PathBuf, endpoint: &str, settings: &AgentSettings) -> Self {
        let own = agents.join(endpoint);
        Self {
            home: settings.home.clone().unwrap_or_else(|| own.join("home")),
            is_home_private: settings.home.is_none(),
            cwd: settings.cwd.clone(),
            command: settings.command.clone(),
            agent: settings.program,
            endpoint: endpoint.to_owned(),
            agents,
            program: Mutex::new(None),
            is_clean: OnceLock::new(),
        }
    }

    /// The private folder of the endpoint.
    pub fn folder(&self) -> PathBuf {
        self.agents.join(&self.endpoint)
    }

    /// The file of its conversations.
    pub fn threads_file(&self) -> PathBuf {
        self.folder().join("threads.jsonl")
    }

    /// Where the agent keeps its login and threads.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Whether the home is latimer's own. Nothing is written to one that is not.
    pub fn is_home_private(&self) -> bool {
        self.is_home_private
    }

    /// The folder the agent works in: as configured, else an empty one of its own.
    pub fn cwd(&self) -> PathBuf {
        self.cwd.clone().unwrap_or_else(|| self.folder().join("empty"))
    }

    /// Makes the folders, private, and checks those that a person named.
    ///
    /// # Errors
    /// One cannot be made, or one that was named is not there.
    pub fn prepare(&self) -> Result<(), Failure> {
        let make = |path: &Path| {
            latimer_files::prepare(path)
                .map_err(|error| self.failure(&format!("`{}` cannot be used: {error}", path.display())))
        };
        make(&self.agents)?;
        make(&self.folder())?;
        self.is_clean.get_or_init(|| {
            let _ = fs::remove_dir_all(self.folder().join("turns"));
        });
        make(&self.folder().join("turns"))?;
        if self.is_home_private {
            make(&self.home)?;
        } else if !self.home.is_dir() {
            return Err(self.failure(&format!("`agent.home` is no folder: {}", self.home.display())));
        }
        match &self.cwd {
            None => make(&self.cwd())?,
            Some(cwd) if !cwd.is_dir() => {
                return Err(self.failure(&format!("`agent.cwd` is no folder: {}", cwd.display())));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A new folder for one turn.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn turn_folder(&self) -> Result<TurnFolder, Failure> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder().join("turns").join(format!("{}-{number}", std::process::id()));
        latimer_files::prepare(&path)
            .map_err(|error| self.failure(&format!("a folder cannot be made: {error}")))?;
        Ok(TurnFolder { path })
    }

    /// Writes a private file into the home, unless it holds just that.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.home.join(name);
        if latimer_files::read(&path, bytes.len() as u64).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        latimer_files::write(&path, bytes)
            .map_err(|error| self.failure(&format!("`{}` cannot be written: {error}", path.display())))
    }

    /// A mark that no other child has or had.
    pub fn mark(&self) -> String {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        format!("{}{number}", self.mark_start())
    }

    /// What the marks of all children of this endpoint begin with that this process starts.
    fn mark_start(&self) -> String {
        let me = ProcessId::me();
        format!("{}-{}-{}-", self.endpoint, me.pid, me.started)
    }

    /// The children of this endpoint that run, the oldest first.
    pub fn children(&self) -> Vec<ProcessId> {
        children::running(&self.agents, &self.mark_start())
    }

    /// All of a child's environment.
    pub fn environment(&self, mark: &str, set: &[(&str, OsString)]) -> Vec<(OsString, OsString)> {
        environment(&|name| env::var_os(name), mark, set)
    }

    /// The program, as an absolute path.
    ///
    /// # Errors
    /// It is not installed.
    pub fn program(&self) -> Result<PathBuf, Failure> {
        let mut known = lock(&self.program);
        if let Some(path) = known.as_ref().filter(|path| path.exists()) {
            return Ok(path.clone());
        }
        let found = find(&self.command).ok_or_else(|| self.not_installed())?;
        let native = native(self.agent, &found).unwrap_or(found);
        *known = Some(native.clone());
        Ok(native)
    }

    fn not_installed(&self) -> Failure {
        let package = match self.agent {
            AgentProgram::CodexExec | AgentProgram::CodexAppServer => "@openai/codex",
            AgentProgram::ClaudeCode => "@anthropic-ai/claude-code",
            AgentProgram::OpenCode => "opencode-ai",
        };
        let message = format!(
            "{}: the program `{}` was not found; install it (`npm install -g {package}`) or set `agent.command` to its path",
            self.endpoint, self.command
        );
        Failure { cause: Some(failure::NOT_INSTALLED), ..Failure::new(FailureKind::Unreachable, message) }
    }

    /// A failure of this machine, in these words.
    pub fn failure(&self, what: &str) -> Failure {
        let message = format!("{}: {what}", self.endpoint);
        Failure { cause: Some(failure::NOT_INSTALLED), ..Failure::new(FailureKind::Unreachable, message) }
    }
}

/// A command by its path, or by its name on `PATH`.
fn find(command: &str) -> Option<PathBuf> {
    if command.contains('/') {
        return Some(PathBuf::from(command)).filter(|path| is_program(path)).and_then(absolute);
    }
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(command)).find(|path| is_program(path))?;
    absolute(found)
}

fn absolute(path: PathBuf) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The program behind npm's launcher of Codex, where it can be found: one process less, and a signal reaches it.
fn native(agent: AgentProgram, launcher: &Path) -> Option<PathBuf> {
    if !matches!(agent, AgentProgram::CodexExec | AgentProgram::CodexAppServer) {
        return None;
    }
    let script = fs::canonicalize(launcher).ok().filter(|path| path.ends_with("bin/codex.js"))?;
    let package = script.parent()?.parent()?;
    let platform = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "codex-linux-x64",
        ("linux", "aarch64") => "codex-linux-arm64",
        ("macos", "x86_64") => "codex-darwin-x64",
        ("macos", "aarch64") => "codex-darwin-arm64",
        _ => return None,
    };
    let beside = package.parent().map(|scope| scope.join(platform));
    let below = package.join("node_modules/@openai").join(platform);
    let vendors = beside.into_iter().chain([below, package.to_owned()]).map(|path| path.join("vendor"));
    let targets = vendors.filter_map(|vendor| fs::read_dir(vendor).ok()).flatten().flatten();
    let names = ["bin/codex", "codex/codex"];
    targets.flat_map(|target| names.map(|name| target.path().join(name))).find(|path| is_program(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(command: &str, folder: &Path) -> AgentPlace {
        let settings =
            AgentSettings { command: command.to_owned(), ..AgentSettings::usual(AgentProgram::CodexExec) };
        AgentPlace::new(folder.join("agents"), "lab", &settings)
    }

    #[test]
    fn folders_are_private_and_those_of_turns_do_not_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = place("sh", dir.path());
        fs::create_dir_all(dir.path().join("agents/lab/turns/1-1")).expect("left by another proxy");
        place.prepare().expect("made");
        assert!(!dir.path().join("agents/lab/turns/1-1").exists());
        for path in [place.home().to_owned(), place.cwd(), place.folder()] {
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
        }
        let turn = place.turn_folder().expect("made");
        let file = turn.file("prompt", b"x").expect("written");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        drop(turn);
        assert!(!file.exists());
        assert_ne!(place.mark(), place.mark());
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = place("no-such-program", dir.path()).program().expect_err("not there");
        assert!(missing.message.contains("npm install -g @openai/codex"), "{}", missing.message);
        assert!(place("sh", dir.path()).program().expect("on the path").is_absolute());
    }
}
