//! `codex exec`: one process for each turn. The arguments are in [`request`], the events in [`stream`], the process in `process`.

mod process;
pub mod request;
pub mod stream;

use std::ffi::OsString;
use std::path::PathBuf;

use latimer_protocol::failure::Failure;

use self::process::ExecProcess;
use self::stream::CodexExecReader;
use crate::agents::body::answer_limits;
use crate::agents::child;
use crate::agents::codex::config;
use crate::agents::endpoint::{AgentEndpoint, AgentLoad};
use crate::agents::launch::Launch;
use crate::agents::place::TurnFolder;
use crate::agents::probe::check_login;
use crate::agents::query::{AgentQuery, MAX_INPUT_CHARS};
use crate::agents::settings::AgentSettings;
use crate::drive::TurnStream;
use crate::endpoint_client::OpenResult;
use crate::prepared_request::{PreparedRequest, TurnInput};
use crate::reader::ReaderContext;
use crate::transport::Body;

/// One endpoint that is `codex exec`.
#[derive(Debug)]
pub struct CodexExec {
    endpoint: AgentEndpoint,
}

impl CodexExec {
    /// An endpoint of this name, below the folder of all agents. Starts nothing.
    pub fn new(agents: PathBuf, endpoint: &str, settings: AgentSettings) -> Self {
        Self { endpoint: AgentEndpoint::new(agents, endpoint, settings) }
    }

    /// How busy it is.
    pub fn report(&self) -> AgentLoad {
        self.endpoint.report(None)
    }

    /// Writes the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        self.endpoint.prepare(input)
    }

    /// Starts Codex with the turn. Returns once it runs; its events are still to come, and dropping them ends it.
    ///
    /// # Errors
    /// The turn cannot be asked of it, there is no place, or it cannot be started.
    pub async fn open(&self, prepared: &PreparedRequest) -> OpenResult {
        let endpoint = &self.endpoint;
        let query = endpoint.query(prepared)?;
        let prompt = query.as_transcript();
        if prompt.chars().count() > MAX_INPUT_CHARS {
            let what = format!("Codex takes {MAX_INPUT_CHARS} characters at most; shorten the conversation");
            return Err(Failure { status: Some(413), ..endpoint.bad(&what) }.into());
        }
        let place = endpoint.admission.enter(endpoint.name()).await?;
        let (process, folder) = self.start(&query)?;
        let context = ReaderContext::of(prepared, endpoint.name());
        let reader = Box::new(CodexExecReader::new(context, endpoint.settings.activity));
        let limits = endpoint.settings.limits;
        let lines = process.lines(prompt, folder, limits, place);
        Ok(TurnStream::lines(Body::from_stream(lines), reader, answer_limits(&limits)))
    }

    fn start(&self, query: &AgentQuery) -> Result<(ExecProcess, TurnFolder), Failure> {
        let (place, settings) = (&self.endpoint.place, &self.endpoint.settings);
        let launch = Launch::new(place)?;
        check_login(place, settings)?;
        if place.is_home_private() {
            let text = config::file(settings).map_err(|error| self.endpoint.bad(&error.to_string()))?;
            place.keep("config.toml", text.as_bytes())?;
        }
        let wanted = request::files(query, settings).map_err(|why| self.endpoint.bad(&why))?;
        for file in &wanted {
            launch.file(file.name, &file.bytes)?;
        }
        let arguments = request::arguments(query, settings, &place.cwd(), &launch.folder.path, &wanted);
        let arguments = arguments.map_err(|error| self.endpoint.bad(&error.to_string()))?;
        let home = OsString::from(place.home());
        let started = child::start(launch.program(arguments, &[("CODEX_HOME", home)]));
        let (child, pipes) = started.map_err(|error| error.failure(&place.endpoint, &launch.path))?;
        Ok((ExecProcess::new(child, pipes, &place.endpoint), launch.folder))
    }
}
