//! `latimer service`: the watchdog as a service of the person's own session: a systemd user unit, or a launchd agent on macOS.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::setup::{self, Places};
use crate::watchdog::environment::asked_for;
use crate::watchdog::run::partner;

/// The first line of what we write, by which we know it again: a file without it is somebody else's.
const MARK: &str = "Written by `latimer service install`; `latimer service uninstall` removes it.";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer service install      keep latimer running from login to logout\n  latimer service uninstall    undo that"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Only write or remove the file; tell the service manager nothing
    #[arg(long, global = true)]
    no_start: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write the service and start it
    Install,
    /// Stop the service and remove it
    Uninstall,
}

/// Who runs services here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

/// What the service runs.
struct Unit {
    program: PathBuf,
    config: Option<PathBuf>,
    state_dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let manager = if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd };
    let path = path(manager)?;
    match args.action {
        Action::Install => {
            let state_dir = args.places.state()?;
            // A service that cannot start is worse than an error now.
            let configuration = args.places.configuration()?;
            let config = configuration.path.as_deref().map(std::path::absolute).transpose()?;
            let unit = Unit {
                program: partner("latimer-watchdog")?,
                config,
                state_dir: std::path::absolute(state_dir)?,
            };
            install(&path, &unit.text(manager))?;
            setup::say(&format!("wrote `{}`", path.display()))?;
            warn_of_keys(configuration.path.as_deref());
            if !args.no_start {
                for command in starting(manager, &path) {
                    tell(&command)?;
                }
                setup::say("started; `latimer status` shows how it is")?;
            }
        }
        Action::Uninstall => {
            if !args.no_start && is_ours(&path) {
                for command in stopping(manager, &path) {
                    // What does not run cannot be stopped; the file goes all the same.
                    if let Err(error) = tell(&command) {
                        setup::complain(&format!("latimer: warning: {error:#}"));
                    }
                }
            }
            let removed = uninstall(&path)?;
            setup::say(&if removed {
                format!("removed `{}`", path.display())
            } else {
                "no service is installed".to_owned()
            })?;
            if removed && !args.no_start && manager == Manager::Systemd {
                tell(&systemctl(&["daemon-reload"]))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A service does not see what a shell exports.
fn warn_of_keys(config: Option<&Path>) {
    let text = config.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let named = asked_for(&text);
    if !named.is_empty() {
        setup::complain(&format!(
            "latimer: warning: a service does not see your shell's variables ({}); name the keys by `api_key_file`, or set them in the service manager",
            named.join(", ")
        ));
    }
}

fn path(manager: Manager) -> anyhow::Result<PathBuf> {
    let home =
        || setup::env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).context("HOME is not set");
    Ok(match manager {
        Manager::Systemd => {
            let config = setup::env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
            let config = config.map_or_else(|| home().map(|home| home.join(".config")), Ok)?;
            config.join("systemd/user/latimer.service")
        }
        Manager::Launchd => home()?.join("Library/LaunchAgents/latimer.watchdog.plist"),
    })
}

impl Unit {
    fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![self.program.to_string_lossy().into_owned(), "run".into(), "--log".into(), "json".into()];
        arguments.extend(["--state-dir".into(), self.state_dir.to_string_lossy().into_owned()]);
        if let Some(config) = &self.config {
            arguments.extend(["--config".into(), config.to_string_lossy().into_owned()]);
        }
        arguments
    }

    fn text(&self, manager: Manager) -> String {
        match manager {
            Manager::Systemd => {
                let command: Vec<String> = self.arguments().iter().map(|word| systemd_word(word)).collect();
                format!(
                    "# {MARK}\n[Unit]\nDescription=latimer: coding agents on any model\n\n[Service]\nExecStart={}\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=1\n# Ending the watchdog drains the proxy; a proxy whose watchdog crashed goes on and is adopted.\nKillMode=process\nTimeoutStopSec=90\n\n[Install]\nWantedBy=default.target\n",
                    command.join(" ")
                )
            }
            Manager::Launchd => {
                let words: Vec<String> = self
                    .arguments()
                    .iter()
                    .map(|word| format!("    <string>{}</string>\n", xml(word)))
                    .collect();
                let words = words.concat();
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {MARK} -->\n<plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>latimer.watchdog</string>\n  <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n</dict>\n</plist>\n"
                )
            }
        }
    }
}

/// A word of `ExecStart`: quoted, with what systemd would expand doubled.
fn systemd_word(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn is_ours(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(MARK))
}

fn install(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() && !is_ours(path) {
        bail!("`{}` was not written by latimer; move it away first", path.display());
    }
    let dir = path.parent().context("the path of the service")?;
    std::fs::create_dir_all(dir).with_context(|| format!("making `{}`", dir.display()))?;
    latimer_proxy::config::state::write_private(path, text.as_bytes())
        .with_context(|| format!("writing `{}`", path.display()))
}

/// True when there was something to remove.
fn uninstall(path: &Path) -> anyhow::Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    if !is_ours(path) {
        bail!("`{}` was not written by latimer, and stays", path.display());
    }
    std::fs::remove_file(path).with_context(|| format!("removing `{}`", path.display()))?;
    Ok(true)
}

fn systemctl(args: &[&str]) -> Vec<String> {
    ["systemctl", "--user"].iter().chain(args).map(|word| (*word).to_owned()).collect()
}

fn launchctl(args: &[&str], path: &Path) -> Vec<String> {
    let path = path.to_string_lossy().into_owned();
    std::iter::once("launchctl").chain(args.iter().copied()).map(str::to_owned).chain([path]).collect()
}

fn starting(manager: Manager, path: &Path) -> Vec<Vec<String>> {
    match manager {
        Manager::Systemd => {
            vec![systemctl(&["daemon-reload"]), systemctl(&["enable", "--now", "latimer.service"])]
        }
        Manager::Launchd => vec![launchctl(&["load", "-w"], path)],
    }
}

fn stopping(manager: Manager, path: &Path) -> Vec<Vec<String>> {
    match manager {
        Manager::Systemd => vec![systemctl(&["disable", "--now", "latimer.service"])],
        Manager::Launchd => vec![launchctl(&["unload", "-w"], path)],
    }
}

fn tell(command: &[String]) -> anyhow::Result<()> {
    let (program, args) = command.split_first().context("no command")?;
    let shown = command.join(" ");
    let out =
        Command::new(program).args(args).stdin(Stdio::null()).output().with_context(|| {
            format!("running `{shown}`: is there a service manager? --no-start does without")
        })?;
    if !out.status.success() {
        bail!("`{shown}` failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> Unit {
        Unit {
            program: "/opt/my tools/latimer-watchdog".into(),
            config: Some("/etc/100%/a&b.toml".into()),
            state_dir: "/var/lib/$state".into(),
        }
    }

    #[test]
    fn odd_paths_are_quoted_for_each_manager() {
        let systemd = unit().text(Manager::Systemd);
        let line = "ExecStart=\"/opt/my tools/latimer-watchdog\" \"run\" \"--log\" \"json\" \"--state-dir\" \"/var/lib/$$state\" \"--config\" \"/etc/100%%/a&b.toml\"\n";
        assert!(systemd.contains(line), "{systemd}");
        let launchd = unit().text(Manager::Launchd);
        assert!(launchd.contains("<string>/etc/100%/a&amp;b.toml</string>"), "{launchd}");
    }

    #[test]
    fn what_is_installed_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("systemd/user/latimer.service");
        assert!(!uninstall(&path).expect("nothing there"));
        install(&path, &unit().text(Manager::Systemd)).expect("written");
        install(&path, &unit().text(Manager::Systemd)).expect("written again");
        assert!(uninstall(&path).expect("removed"));
        assert!(!path.exists());
        std::fs::write(&path, "[Unit]\n").expect("a person's own");
        assert!(install(&path, "x").is_err() && uninstall(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "[Unit]\n");
    }
}
