//! What a process of its own needs before it is started: the folders, the program, a folder with its files.

use std::ffi::OsString;
use std::path::PathBuf;

use latimer_protocol::failure::Failure;

use super::child::{Program, StopSignal};
use super::place::{AgentPlace, TurnFolder};

/// A process that is about to be started, with a folder that is removed with it.
pub struct Launch<'p> {
    place: &'p AgentPlace,
    cwd: PathBuf,
    /// The binary, as an absolute path.
    pub path: PathBuf,
    /// Its files: whoever keeps the process keeps this too.
    pub folder: TurnFolder,
}

impl<'p> Launch<'p> {
    /// Makes the folders and finds the program.
    ///
    /// # Errors
    /// A folder cannot be made, or the program is not installed.
    pub fn new(place: &'p AgentPlace) -> Result<Self, Failure> {
        place.prepare()?;
        Ok(Self { place, cwd: place.cwd(), path: place.program()?, folder: place.turn_folder()? })
    }

    /// Writes a private file into its folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let written = self.folder.file(name, bytes);
        written.map_err(|error| self.place.failure(&format!("a file cannot be written: {error}")))
    }

    /// The program with a mark of its own; SIGINT ends it together with its commands.
    pub fn program(&self, args: Vec<OsString>, variables: &[(&str, OsString)]) -> Program<'_> {
        let mark = self.place.mark();
        Program {
            path: &self.path,
            args,
            environment: self.place.environment(&mark, variables),
            cwd: &self.cwd,
            stop: StopSignal::Interrupt,
            mark,
            agents: &self.place.agents,
        }
    }
}
