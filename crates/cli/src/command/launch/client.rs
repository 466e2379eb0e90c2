//! What `latimer launch` has to know of a client, and what a client is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use latimer_protocol::secret::Secret;
use latimer_proxy::config::{Config, Effort, Endpoint, Protocol};

use crate::turn_source::encoded;

/// What stands for a key where the proxy wants none: clients insist on one.
const NO_TOKEN: &str = "no-token-needed";
/// Characters of a project's name that are told.
const MAX_PROJECT: usize = 60;

/// The variable in which a client finds the key of its provider.
pub(super) const KEY_VARIABLE: &str = "LATIMER_DIRECT_KEY";

/// What a client is told of a provider that it asks itself.
pub(in crate::command) struct DirectTarget<'t> {
    pub(in crate::command) endpoint: &'t Endpoint,
    pub(in crate::command) model: &'t str,
    pub(in crate::command) key: &'t Secret,
}

/// A coding agent that can be run on the proxy.
pub(in crate::command) trait LaunchedClient {
    /// Its program, as it is found on PATH; also the name it is launched by.
    fn program(&self) -> &'static str;

    /// The command that installs it.
    fn install_hint(&self) -> &'static str;

    /// What stands behind `--` to go on with the last conversation.
    fn resume_hint(&self) -> &'static str;

    /// Tells it where to ask and for which models: in its arguments, its environment, or a file below the state directory. No file
    /// of the person's is touched, and the token stands in the environment alone.
    ///
    /// # Errors
    /// A file cannot be written, or the client would not use it where it is.
    fn configure(&self, command: &mut Command, context: &LaunchContext<'_>) -> anyhow::Result<()>;

    /// Where its program is when it is not on PATH.
    fn usual_places(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What to say when its program is not found.
    fn missing(&self) -> String {
        format!(
            "`{}` is not installed, or not on PATH: `{}` installs it, --program names it",
            self.program(),
            self.install_hint()
        )
    }

    /// The protocol that it speaks to a provider without latimer between them; `None` where it cannot be told one.
    fn own_protocol(&self) -> Option<Protocol> {
        None
    }

    /// Tells it of a provider that speaks its own protocol. The key stands in the environment alone.
    fn configure_direct(&self, _command: &mut Command, _target: &DirectTarget<'_>) {}
}

/// What a client is told.
pub(in crate::command) struct LaunchContext<'c> {
    /// The proxy, without `/v1`.
    pub(in crate::command) url: &'c str,
    /// The model to ask for.
    pub(in crate::command) model: &'c str,
    /// The model for small questions.
    pub(in crate::command) small_model: &'c str,
    /// How much a profile has the model think. The proxy sees to it; this is for a client that shows it.
    pub(in crate::command) effort: Option<Effort>,
    /// The token, where the proxy wants one.
    pub(in crate::command) token: Option<&'c Secret>,
    /// The configuration of the proxy.
    pub(in crate::command) config: &'c Config,
    /// Where latimer's own files live.
    pub(in crate::command) state_dir: &'c Path,
    /// The project that the client works on, as in a URL.
    pub(in crate::command) project: &'c str,
}

/// The header in which a client names its project: usage is counted by it.
pub(in crate::command) const PROJECT_HEADER: &str = "x-latimer-project";

/// The name of the folder that a client works in, as in a URL: of the repository, where it is in one.
pub(in crate::command) fn project(folder: &Path) -> String {
    let repository = folder.ancestors().find(|folder| folder.join(".git").exists());
    let name = repository.unwrap_or(folder).file_name().unwrap_or_default();
    let name: String = name.to_string_lossy().chars().take(MAX_PROJECT).collect();
    encoded(&name)
}

impl LaunchContext<'_> {
    /// What a client sends as its key.
    pub(in crate::command) fn key(&self) -> &str {
        self.token.map_or(NO_TOKEN, Secret::expose)
    }
}

/// A configured command, taken apart for the tests of the clients.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::configuration::load_text;

    /// What a client was told.
    pub(in super::super) struct Configured {
        pub(in super::super) args: Vec<String>,
        env: Vec<(String, Option<String>)>,
    }

    impl Configured {
        /// The value of a variable; `Some("")` where it is taken out, `None` where it is left alone.
        pub(in super::super) fn variable(&self, name: &str) -> Option<&str> {
            self.env
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_deref().unwrap_or_default())
        }
    }

    /// Configures a client for `m` and the small model `s` at `http://127.0.0.1:1`, with the token `t`.
    pub(in super::super) fn configured(
        client: &dyn LaunchedClient,
        state_dir: &Path,
        config: &str,
    ) -> Configured {
        let token = Secret::new("t");
        let config = load_text(config).expect("a configuration").config;
        let context = LaunchContext {
            url: "http://127.0.0.1:1",
            model: "m",
            small_model: "s",
            effort: None,
            token: Some(&token),
            config: &config,
            state_dir,
            project: "my%20app",
        };
        let mut command = Command::new(client.program());
        client.configure(&mut command, &context).expect("configured");
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let args = command.get_args().map(text).collect();
        let env = command.get_envs().map(|(name, value)| (text(name), value.map(text))).collect();
        Configured { args, env }
    }

    #[test]
    fn a_project_is_its_repository_or_its_folder() {
        let dir = tempfile::tempdir().expect("a directory");
        let inner = dir.path().join("my app/src");
        std::fs::create_dir_all(&inner).expect("made");
        assert_eq!(project(&inner), "src");
        std::fs::create_dir(dir.path().join("my app/.git")).expect("made");
        assert_eq!(project(&inner), "my%20app");
        assert_eq!(project(Path::new("/")), "");
    }

    #[test]
    fn a_client_that_insists_on_a_key_gets_one() {
        let config = load_text("").expect("a configuration").config;
        let token = Secret::new("t");
        let mut context = LaunchContext {
            url: "",
            model: "",
            small_model: "",
            effort: None,
            token: Some(&token),
            config: &config,
            state_dir: Path::new(""),
            project: "",
        };
        assert_eq!(context.key(), "t");
        context.token = None;
        assert_eq!(context.key(), NO_TOKEN);
    }
}
