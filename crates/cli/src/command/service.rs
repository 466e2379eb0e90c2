//! `latimer service`: the watchdog as a service of the person's own session: a systemd user unit, or a launchd agent on macOS.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use latimer_watchdog::run::status::WatchdogPhase;

use crate::clock;
use crate::configuration::PathArgs;
use crate::control_client::status_if_running;
use crate::environment::{env, home, variables_of};
use crate::sibling::sibling_binary;
use crate::terminal::{eprint_line, note_line, print_line};

/// How long a service may take until it serves.
const SERVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The first line of what we write, by which we know it again: a file without it is somebody else's.
const SIGNATURE: &str = "Written by `latimer service install`; `latimer service uninstall` removes it.";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer service install      keep latimer running from login to logout\n  latimer service uninstall    undo that"
)]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    action: ServiceAction,
    /// Only write or remove the file; tell the service manager nothing
    #[arg(long, global = true)]
    no_start: bool,
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Debug, clap::Subcommand)]
enum ServiceAction {
    /// Write the service and start it
    Install,
    /// Stop the service and remove it
    Uninstall,
}

/// The program that runs services on this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServiceManager {
    Systemd,
    Launchd,
}

/// What the service runs.
struct ServiceUnit {
    program: PathBuf,
    config: Option<PathBuf>,
    state_dir: PathBuf,
}

pub(crate) fn run(args: &ServiceArgs) -> anyhow::Result<ExitCode> {
    let manager = manager();
    let path = service_path(manager)?;
    match args.action {
        ServiceAction::Install => install_service(args, manager, &path)?,
        ServiceAction::Uninstall => uninstall_service(args, manager, &path)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A service that is installed.
pub(super) struct Installed {
    /// Its file.
    pub(super) path: PathBuf,
    /// Whether it goes on when the person logs out.
    pub(super) is_enduring: bool,
}

/// The service that latimer has installed; `None` where there is none.
pub(super) fn installed() -> Option<Installed> {
    let manager = manager();
    let path = service_path(manager).ok().filter(|path| is_ours(path))?;
    Some(Installed { path, is_enduring: manager == ServiceManager::Launchd || lingers() })
}

fn manager() -> ServiceManager {
    if cfg!(target_os = "macos") { ServiceManager::Launchd } else { ServiceManager::Systemd }
}

/// Whether systemd runs this person's services while they are logged out.
fn lingers() -> bool {
    env("USER")
        .is_some_and(|user| !user.contains('/') && Path::new("/var/lib/systemd/linger").join(user).exists())
}

fn install_service(args: &ServiceArgs, manager: ServiceManager, path: &Path) -> anyhow::Result<()> {
    let state_dir = args.paths.state_dir()?;
    // A service that cannot start is worse than an error now.
    let configuration = args.paths.configuration()?;
    let unit = ServiceUnit {
        program: sibling_binary("latimer-watchdog")?,
        config: configuration.path.as_deref().map(std::path::absolute).transpose()?,
        state_dir: std::path::absolute(state_dir)?,
    };
    let before = std::fs::read_to_string(path).ok();
    install(path, &unit.text(manager))?;
    print_line(&format!("wrote `{}`", path.display()))?;
    warn_of_variables(configuration.path.as_deref());
    if args.no_start {
        return Ok(());
    }
    let started = start_commands(manager, path).iter().try_for_each(|command| run_command(command));
    if let Err(error) = started.and_then(|()| wait_until_it_serves(&unit.state_dir)) {
        take_back(manager, path, before.as_deref());
        return Err(error.context("the service does not run; its file is as it was before"));
    }
    print_line("started, and it serves; `latimer status` shows how it is")?;
    if manager == ServiceManager::Systemd && !lingers() {
        note_line(
            "it ends when you log out; `loginctl enable-linger` keeps it running, also from the start of the machine",
        );
    }
    Ok(())
}

/// Waits for the watchdog of the service and its proxy.
fn wait_until_it_serves(state_dir: &Path) -> anyhow::Result<()> {
    let begun = clock::now();
    loop {
        let status = status_if_running(state_dir)?;
        match status.map(|status| status.phase) {
            Some(WatchdogPhase::Serving) => return Ok(()),
            Some(WatchdogPhase::Holding) => bail!("its proxy does not start; `latimer doctor` looks why"),
            _ => ensure!(
                begun.elapsed() < SERVE_TIMEOUT,
                "nothing serves after {} s; `journalctl --user -u latimer` may say why",
                SERVE_TIMEOUT.as_secs()
            ),
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Stops what was started, and puts the file back that was there before, or none.
fn take_back(manager: ServiceManager, path: &Path, before: Option<&str>) {
    for command in stop_commands(manager, path) {
        let _ = run_command(&command);
    }
    let _ = match before {
        Some(text) => install(path, text).map(|()| true),
        None => uninstall(path),
    };
    if manager == ServiceManager::Systemd {
        let _ = run_command(&systemctl(&["daemon-reload"]));
    }
}

fn uninstall_service(args: &ServiceArgs, manager: ServiceManager, path: &Path) -> anyhow::Result<()> {
    if !args.no_start && is_ours(path) {
        for command in stop_commands(manager, path) {
            // What does not run cannot be stopped; the file goes all the same.
            if let Err(error) = run_command(&command) {
                eprint_line(&format!("latimer: warning: {error:#}"));
            }
        }
    }
    if !uninstall(path)? {
        return print_line("no service is installed");
    }
    print_line(&format!("removed `{}`", path.display()))?;
    if !args.no_start && manager == ServiceManager::Systemd {
        run_command(&systemctl(&["daemon-reload"]))?;
    }
    Ok(())
}

/// A service does not see what a shell exports.
fn warn_of_variables(config: Option<&Path>) {
    let text = config.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let names = variables_of(&text);
    if !names.is_empty() {
        eprint_line(&format!(
            "latimer: warning: a service does not see your shell's variables ({}); name the keys by `api_key_file`, or set them in the service manager",
            names.join(", ")
        ));
    }
}

fn service_path(manager: ServiceManager) -> anyhow::Result<PathBuf> {
    let home = || home().context("HOME is not set");
    Ok(match manager {
        ServiceManager::Systemd => {
            let config = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
            let config = config.map_or_else(|| home().map(|home| home.join(".config")), Ok)?;
            config.join("systemd/user/latimer.service")
        }
        ServiceManager::Launchd => home()?.join("Library/LaunchAgents/latimer.watchdog.plist"),
    })
}

impl ServiceUnit {
    fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![self.program.to_string_lossy().into_owned(), "run".into(), "--log".into(), "json".into()];
        arguments.extend(["--state-dir".into(), self.state_dir.to_string_lossy().into_owned()]);
        if let Some(config) = &self.config {
            arguments.extend(["--config".into(), config.to_string_lossy().into_owned()]);
        }
        arguments
    }

    fn text(&self, manager: ServiceManager) -> String {
        match manager {
            ServiceManager::Systemd => {
                let command: Vec<String> = self.arguments().iter().map(|word| systemd_word(word)).collect();
                format!(
                    "# {SIGNATURE}\n[Unit]\nDescription=latimer: coding agents on any model\n\n[Service]\nExecStart={}\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=1\n# Ending the watchdog drains the proxy; a proxy whose watchdog crashed goes on and is adopted.\nKillMode=process\nTimeoutStopSec=90\n\n[Install]\nWantedBy=default.target\n",
                    command.join(" ")
                )
            }
            ServiceManager::Launchd => {
                let words: Vec<String> = self
                    .arguments()
                    .iter()
                    .map(|word| format!("    <string>{}</string>\n", xml(word)))
                    .collect();
                let words = words.concat();
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {SIGNATURE} -->\n<plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>latimer.watchdog</string>\n  <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n</dict>\n</plist>\n"
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
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(SIGNATURE))
}

fn install(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() && !is_ours(path) {
        bail!("`{}` was not written by latimer; move it away first", path.display());
    }
    let dir = path.parent().context("the path of the service")?;
    std::fs::create_dir_all(dir).with_context(|| format!("making `{}`", dir.display()))?;
    // The folder is the person's own: there it may well be a link.
    let dir = std::fs::canonicalize(dir).with_context(|| format!("looking for `{}`", dir.display()))?;
    latimer_files::write(&dir.join(path.file_name().context("the name of the service")?), text.as_bytes())
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

fn start_commands(manager: ServiceManager, path: &Path) -> Vec<Vec<String>> {
    match manager {
        ServiceManager::Systemd => {
            vec![systemctl(&["daemon-reload"]), systemctl(&["enable", "--now", "latimer.service"])]
        }
        ServiceManager::Launchd => vec![launchctl(&["load", "-w"], path)],
    }
}

fn stop_commands(manager: ServiceManager, path: &Path) -> Vec<Vec<String>> {
    match manager {
        ServiceManager::Systemd => vec![systemctl(&["disable", "--now", "latimer.service"])],
        ServiceManager::Launchd => vec![launchctl(&["unload", "-w"], path)],
    }
}

/// Runs a command of the service manager.
fn run_command(command: &[String]) -> anyhow::Result<()> {
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

    fn unit() -> ServiceUnit {
        ServiceUnit {
            program: "/opt/my tools/latimer-watchdog".into(),
            config: Some("/etc/100%/a&b.toml".into()),
            state_dir: "/var/lib/$state".into(),
        }
    }

    #[test]
    fn odd_paths_are_quoted_for_each_manager() {
        let systemd = unit().text(ServiceManager::Systemd);
        let line = "ExecStart=\"/opt/my tools/latimer-watchdog\" \"run\" \"--log\" \"json\" \"--state-dir\" \"/var/lib/$$state\" \"--config\" \"/etc/100%%/a&b.toml\"\n";
        assert!(systemd.contains(line), "{systemd}");
        let launchd = unit().text(ServiceManager::Launchd);
        assert!(launchd.contains("<string>/etc/100%/a&amp;b.toml</string>"), "{launchd}");
    }

    #[test]
    fn what_is_installed_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("systemd/user/latimer.service");
        assert!(!uninstall(&path).expect("nothing there"));
        install(&path, &unit().text(ServiceManager::Systemd)).expect("written");
        install(&path, &unit().text(ServiceManager::Systemd)).expect("written again");
        assert!(uninstall(&path).expect("removed"));
        assert!(!path.exists());
        std::fs::write(&path, "[Unit]\n").expect("a person's own");
        assert!(install(&path, "x").is_err() && uninstall(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "[Unit]\n");
    }
}
