//! How a command ends: the exit codes that scripts may rely on.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not do what it was asked. Usage errors are 2, by clap; everything else that fails is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing runs that could be asked.
    NotRunning,
    /// The configuration is invalid, or there is none.
    Configuration,
    /// No endpoint can be used: a key or an account is missing.
    NoProvider,
    /// A provider was asked, and refused or did not answer.
    Refused,
    /// An examination found something that does not work.
    Unwell,
    /// Something took longer than it may.
    TimedOut,
}

impl Exit {
    /// The number that a shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::NotRunning => 3,
            Self::Configuration => 4,
            Self::NoProvider => 5,
            Self::Refused => 6,
            Self::Unwell => 7,
            Self::TimedOut => 124,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that ends the command with a code of its own. Its words and causes are those of the error inside.
#[derive(Debug)]
pub(crate) struct ExitError {
    pub(crate) exit: Exit,
    pub(crate) inner: anyhow::Error,
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.inner)
    }
}

impl std::error::Error for ExitError {}

/// Gives errors an exit code.
pub(crate) trait ExitsWith<T> {
    /// The same result; an error ends the command like this.
    ///
    /// # Errors
    /// The one that was there.
    fn exits(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> ExitsWith<T> for Result<T, E> {
    fn exits(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| ExitError { exit, inner: error.into() }.into())
    }
}

/// The exit code that an error asks for; 1 where it asks for none.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<ExitError>().map_or(1, |error| error.exit.code())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_code_survives_what_is_said_around_it() {
        let error = Err::<(), _>(anyhow::anyhow!("no file")).exits(Exit::Configuration);
        let error = error.context("launching").expect_err("an error");
        assert_eq!((code_of(&error), format!("{error:#}")), (4, "launching: no file".to_owned()));
        assert_eq!(code_of(&anyhow::anyhow!("other")), 1);
    }
}
