//! `codex exec`: one process for each turn. The arguments are in [`request`], the events in [`stream`], the process in [`process`].

mod process;
pub mod request;
pub mod stream;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use latimer_protocol::failure::{Failure, FailureKind};

use self::process::ExecProcess;
use self::stream::CodexExecReader;
use crate::agents::admission::Admission;
use crate::agents::body::answer_limits;
use crate::agents::child::{self, Program, StopSignal};
use crate::agents::codex::config;
use crate::agents::place::{AgentPlace, TurnFolder};
use crate::agents::query::{self, AgentQuery, MAX_INPUT_CHARS};
use crate::agents::settings::AgentSettings;
use crate::drive::TurnStream;
use crate::endpoint_client::OpenResult;
use crate::prepared_request::{PreparedRequest, TurnInput};
use crate::reader::ReaderContext;
use crate::transport::Body;

/// One endpoint that is `codex exec`.
#[derive(Debug)]
pub struct CodexExec {
    settings: Arc<AgentSettings>,
    place: AgentPlace,
    admission: Admission,
}

impl CodexExec {
    /// An endpoint of this name, below the folder of all agents. Starts nothing.
    pub fn new(agents: PathBuf, endpoint: &str, settings: AgentSettings) -> Self {
        let place = AgentPlace::new(agents, endpoint, &settings);
        Self { admission: Admission::new(&settings), settings: Arc::new(settings), place }
    }

    /// Writes the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        query::prepare(input.turn, &self.settings, &self.place.endpoint)
    }

    /// Starts Codex with the turn. Returns once it runs; its events are still to come, and dropping them ends it.
    ///
    /// # Errors
    /// The turn cannot be asked of it, there is no place, or it cannot be started.
    pub async fn open(&self, prepared: &PreparedRequest) -> OpenResult {
        let endpoint = &self.place.endpoint;
        let query = AgentQuery::of(prepared).ok_or_else(|| self.bad("the request cannot be read"))?;
        if let Some(why) = &query.refusal {
            return Err(self.bad(why).into());
        }
        let prompt = query.as_transcript();
        if prompt.chars().count() > MAX_INPUT_CHARS {
            let what = format!("Codex takes {MAX_INPUT_CHARS} characters at most; shorten the conversation");
            return Err(Failure { status: Some(413), ..self.bad(&what) }.into());
        }
        let place = self.admission.enter(endpoint).await?;
        let (process, folder) = self.start(&query)?;
        let context = ReaderContext::of(prepared, endpoint);
        let reader = Box::new(CodexExecReader::new(context, self.settings.activity));
        let lines = process.lines(prompt, folder, self.settings.limits, place);
        Ok(TurnStream::lines(Body::from_stream(lines), reader, answer_limits(&self.settings.limits)))
    }

    fn start(&self, query: &AgentQuery) -> Result<(ExecProcess, TurnFolder), Failure> {
        self.place.prepare()?;
        let program = self.place.program()?;
        if self.place.is_home_private() {
            let text = config::file(&self.settings).map_err(|error| self.bad(&error.to_string()))?;
            self.place.keep("config.toml", text.as_bytes())?;
        }
        let folder = self.place.turn_folder()?;
        let wanted = request::files(query, &self.settings).map_err(|why| self.bad(&why))?;
        let mut paths = Vec::new();
        for file in &wanted {
            let path = folder.file(file.name, &file.bytes);
            paths.push(
                path.map_err(|error| self.place.failure(&format!("a file cannot be written: {error}")))?,
            );
        }
        let arguments = request::arguments(query, &self.settings, &self.place.cwd(), &folder.path, &wanted);
        let arguments = arguments.map_err(|error| self.bad(&error.to_string()))?;
        let mark = self.place.mark();
        let home = OsString::from(self.place.home());
        let (child, pipes) = child::start(Program {
            path: &program,
            args: arguments,
            environment: self.place.environment(&mark, &[("CODEX_HOME", home)]),
            cwd: &self.place.cwd(),
            stop: StopSignal::Interrupt,
            mark,
            agents: &self.place.agents,
        })
        .map_err(|error| {
            self.place.failure(&format!("`{}` cannot be started: {error}", program.display()))
        })?;
        Ok((ExecProcess::new(child, pipes, &self.place.endpoint), folder))
    }

    fn bad(&self, why: &str) -> Failure {
        Failure::new(FailureKind::BadRequest, format!("{}: {why}", self.place.endpoint))
    }
}
