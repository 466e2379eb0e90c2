//! How a person logs an agent in at its vendor: what is run, and which file comes of it. Pure.
//!
//! The login is made in a folder that is thrown away, and only its one file is kept, in the endpoint's own home: two users of one login
//! would take it from each other.

use std::path::{Path, PathBuf};

use super::settings::AgentProgram;

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPlan {
    /// Arguments of the program.
    pub args: Vec<&'static str>,
    /// The variable that names its home.
    pub variable: &'static str,
    /// The file that it makes, below that home.
    pub made: &'static str,
    /// Where that file belongs below the endpoint's home.
    pub kept: &'static str,
}

/// How the person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginWay {
    /// In a browser on this machine.
    Browser,
    /// By a code on another device, where the program can.
    Device,
    /// A key that is read from the standard input, where the program can.
    ApiKey,
}

/// The way to log a program in; `None` where it does not know that way.
pub fn plan(program: AgentProgram, way: LoginWay) -> Option<LoginPlan> {
    match program {
        AgentProgram::CodexExec | AgentProgram::CodexAppServer => {
            let args = match way {
                LoginWay::Browser => vec!["login"],
                LoginWay::Device => vec!["login", "--device-auth"],
                LoginWay::ApiKey => vec!["login", "--with-api-key"],
            };
            Some(LoginPlan { args, variable: "CODEX_HOME", made: "auth.json", kept: "auth.json" })
        }
        AgentProgram::ClaudeCode => (way != LoginWay::ApiKey).then(|| LoginPlan {
            args: vec!["auth", "login"],
            variable: "CLAUDE_CONFIG_DIR",
            made: ".credentials.json",
            kept: ".credentials.json",
        }),
        AgentProgram::OpenCode => (way != LoginWay::ApiKey).then(|| LoginPlan {
            args: vec!["auth", "login"],
            variable: "XDG_DATA_HOME",
            made: "opencode/auth.json",
            kept: "data/opencode/auth.json",
        }),
    }
}

/// The file of a login in an endpoint's home.
pub fn kept_file(program: AgentProgram, home: &Path) -> PathBuf {
    let kept = plan(program, LoginWay::Browser).map_or("auth.json", |plan| plan.kept);
    home.join(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_its_way_and_its_file() {
        let home = Path::new("/h");
        for (program, file) in [
            (AgentProgram::CodexExec, "/h/auth.json"),
            (AgentProgram::CodexAppServer, "/h/auth.json"),
            (AgentProgram::ClaudeCode, "/h/.credentials.json"),
            (AgentProgram::OpenCode, "/h/data/opencode/auth.json"),
        ] {
            assert_eq!(kept_file(program, home), Path::new(file));
            assert!(plan(program, LoginWay::Browser).is_some());
        }
        assert_eq!(plan(AgentProgram::ClaudeCode, LoginWay::ApiKey), None);
        let device = plan(AgentProgram::CodexExec, LoginWay::Device).expect("a way");
        assert_eq!(device.args, ["login", "--device-auth"]);
    }
}
