//! One thing that was looked at, how it is, and what to do.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde::Serialize;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    Installation,
    Configuration,
    Accounts,
    Endpoints,
    Running,
    Clients,
    Machine,
}

impl Group {
    /// In the order in which they are told.
    pub(super) const ALL: [Self; 7] = [
        Self::Installation,
        Self::Configuration,
        Self::Accounts,
        Self::Endpoints,
        Self::Running,
        Self::Clients,
        Self::Machine,
    ];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Configuration => "configuration",
            Self::Accounts => "keys and accounts",
            Self::Endpoints => "endpoints",
            Self::Running => "what runs",
            Self::Clients => "clients",
            Self::Machine => "machine",
        }
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// As it should be.
    Fine,
    /// Worth knowing; turns work all the same.
    Remark,
    /// Something does not work.
    Problem,
}

impl Mark {
    /// As it stands before a line.
    pub(super) fn sign(self) -> char {
        match self {
            Self::Fine => '✓',
            Self::Remark => '!',
            Self::Problem => '✗',
        }
    }
}

/// What can be mended without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fix {
    /// A file of ours that others can read or change.
    MakePrivate(PathBuf),
    /// A file that something which is gone left behind.
    Remove(PathBuf),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) group: Group,
    pub(super) mark: Mark,
    /// A name that stays, for scripts.
    pub(super) code: &'static str,
    pub(super) what: String,
    /// The next command.
    pub(super) remedy: Option<String>,
    #[serde(skip)]
    fix: Option<Fix>,
}

impl Finding {
    /// All is well.
    pub(super) fn fine(group: Group, code: &'static str, what: impl Into<String>) -> Self {
        Self { group, mark: Mark::Fine, code, what: what.into(), remedy: None, fix: None }
    }

    /// Worth knowing.
    pub(super) fn remark(
        group: Group,
        code: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { mark: Mark::Remark, remedy: Some(remedy.into()), ..Self::fine(group, code, what) }
    }

    /// It does not work.
    pub(super) fn problem(
        group: Group,
        code: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { mark: Mark::Problem, ..Self::remark(group, code, what, remedy) }
    }

    /// The same, which `--fix` can mend.
    #[must_use]
    pub(super) fn mended_by(mut self, fix: Fix) -> Self {
        self.remedy = Some(format!("latimer doctor --fix ({})", self.remedy.unwrap_or_default()));
        self.fix = Some(fix);
        self
    }

    /// Mends it, where that is safe; whether it did.
    pub(super) fn mend(&self) -> bool {
        match &self.fix {
            Some(Fix::MakePrivate(path)) => {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).is_ok()
            }
            Some(Fix::Remove(path)) => std::fs::remove_file(path).is_ok(),
            None => false,
        }
    }
}

/// Adds what was wrong before and is no longer.
pub(super) fn mark_mended(now: &mut Vec<Finding>, before: Vec<Finding>) {
    for was in before.into_iter().filter(|finding| finding.fix.is_some()) {
        if !now.iter().any(|finding| finding.what == was.what) {
            now.push(Finding { mark: Mark::Fine, remedy: Some("mended".to_owned()), fix: None, ..was });
        }
    }
}
