//! Whether an agent could answer: its program is there, of a version that was tested, and logged in where it has to be. Costs no tokens.

use std::process::Stdio;
use std::time::Duration;

use latimer_protocol::failure::{self, Failure, FailureKind};
use tokio::process::Command;

use super::login::kept_file;
use super::place::AgentPlace;
use super::settings::{AgentProgram, AgentSettings};

/// How long a program may take to say its version.
const VERSION: Duration = Duration::from_secs(20);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its version as it says it.
    pub version: Option<String>,
    /// What a person should know or do, a sentence each; those of the first kind keep the agent from answering.
    pub problems: Vec<ProbeProblem>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeProblem {
    /// Whether the agent cannot answer, or may.
    pub weight: ProblemWeight,
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// What a problem means for turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemWeight {
    /// The agent cannot answer.
    Fatal,
    /// It may.
    Doubtful,
}

impl ProbeProblem {
    /// What is so, and what to do about it, in a sentence.
    pub fn words(&self) -> String {
        format!("{}; {}", self.what, self.next)
    }
}

/// Looks for the program of an endpoint, its version and its login.
pub async fn probe(place: &AgentPlace, settings: &AgentSettings) -> Probe {
    let path = match place.program() {
        Ok(path) => path,
        Err(Failure { message, .. }) => {
            let (what, next) = message.split_once("; ").unwrap_or((&message, "install it"));
            let (what, next) = (what.to_owned(), next.to_owned());
            let problems = vec![ProbeProblem { weight: ProblemWeight::Fatal, what, next }];
            return Probe { version: None, problems };
        }
    };
    let mut command = Command::new(&path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.env_clear().envs(place.environment(&place.mark(), &[]));
    let said = tokio::time::timeout(VERSION, command.output()).await;
    let version = match said {
        Ok(Ok(output)) if output.status.success() => {
            version_in(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned)
        }
        _ => None,
    };
    let endpoint = &place.endpoint;
    let mut problems = Vec::new();
    if let Some((words, next)) = doubt(settings.program, version.as_deref()) {
        let what = format!("{endpoint}: `{}` {words}", path.display());
        problems.push(ProbeProblem { weight: ProblemWeight::Doubtful, what, next: next.to_owned() });
    }
    problems.extend(missing_login(place, settings));
    Probe { version, problems }
}

/// What is told where a login is needed and there is none.
fn missing_login(place: &AgentPlace, settings: &AgentSettings) -> Option<ProbeProblem> {
    if settings.provider.is_some() || kept_file(settings.program, place.home()).exists() {
        return None;
    }
    let (endpoint, name) = (&place.endpoint, settings.program.login_name());
    let what = format!("{endpoint}: the agent is not logged in");
    let next = format!("run `latimer login {name} --endpoint {endpoint}`, or set `agent.provider`");
    Some(ProbeProblem { weight: ProblemWeight::Fatal, what, next })
}

/// Refuses a turn of Codex that has no login, before anything is started: without one it asks its vendor for half a minute. A home or a
/// provider that is not of our making may need none.
///
/// # Errors
/// It is not logged in; the words say how that is done.
pub fn check_login(place: &AgentPlace, settings: &AgentSettings) -> Result<(), Failure> {
    if !place.is_home_private() || settings.config.contains_key("model_provider") {
        return Ok(());
    }
    let Some(problem) = missing_login(place, settings) else { return Ok(()) };
    let cause = Some(failure::NOT_INSTALLED);
    Err(Failure { cause, ..Failure::new(FailureKind::Unauthorized, problem.words()) })
}

/// The first word of a text that is a version.
fn version_in(text: &str) -> Option<&str> {
    let is_version = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.contains('.')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
    };
    text.split_whitespace().map(|word| word.trim_start_matches('v')).find(is_version)
}

/// What is doubtful about a version; `None` for one of the tested range.
fn doubt(program: AgentProgram, version: Option<&str>) -> Option<(String, &'static str)> {
    let (first, last) = match program {
        AgentProgram::CodexExec | AgentProgram::CodexAppServer => ((0, 169), (0, 171)),
        AgentProgram::ClaudeCode => ((2, 1), (2, 1)),
        AgentProgram::OpenCode => ((1, 18), (1, 18)),
    };
    let Some(version) = version else {
        return Some(("did not say its version".to_owned(), "check that it is the agent and runs"));
    };
    let mut numbers = version.split(['.', '-', '+']).map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let range = if first == last {
        format!("{}.{}", first.0, first.1)
    } else {
        format!("{}.{} to {}.{}", first.0, first.1, last.0, last.1)
    };
    let tested = |age: &str| format!("is version {version}, {age} than what was tested ({range})");
    match found {
        found if found < first => Some((tested("older"), "update it")),
        found if found > last => Some((tested("newer"), "it may work")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("codex-cli 0.171.0\n", Some("0.171.0")),
            ("2.1.197 (Claude Code)", Some("2.1.197")),
            ("v1.18.33", Some("1.18.33")),
            ("no version", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }

    #[test]
    fn a_version_outside_of_the_tested_range_is_doubtful() {
        for (version, word) in [
            (Some("0.138.0"), Some("older")),
            (Some("0.169.0"), None),
            (Some("0.171.0-alpha.1"), None),
            (Some("0.200.1"), Some("newer")),
            (None, Some("did not say")),
        ] {
            let doubt = doubt(AgentProgram::CodexExec, version);
            assert_eq!(doubt.is_some(), word.is_some(), "{version:?}: {doubt:?}");
            assert!(
                word.is_none_or(|word| doubt.is_some_and(|(doubt, _)| doubt.contains(word))),
                "{version:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_told_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut settings = AgentSettings::usual(AgentProgram::CodexExec);
        settings.command = "/bin/sh".to_owned();
        let found = probe(&AgentPlace::new(dir.path().to_owned(), "lab", &settings), &settings).await;
        let words: Vec<String> = found.problems.iter().map(ProbeProblem::words).collect();
        assert!(words.iter().any(|words| words.contains("latimer login codex --endpoint lab")), "{words:?}");
        let place = AgentPlace::new(dir.path().to_owned(), "lab", &settings);
        let refused = check_login(&place, &settings).expect_err("no login");
        assert_eq!((refused.kind, refused.is_for_later()), (FailureKind::Unauthorized, true));
        settings.config.insert("model_provider".to_owned(), "own".into());
        assert!(check_login(&place, &settings).is_ok(), "a provider of the person's own");
        settings.command = "no-such-agent".to_owned();
        let missing = probe(&AgentPlace::new(dir.path().to_owned(), "lab", &settings), &settings).await;
        let [problem] = &missing.problems[..] else { panic!("{:?}", missing.problems) };
        assert!(
            problem.weight == ProblemWeight::Fatal && problem.next.contains("npm install"),
            "{problem:?}"
        );
    }
}
