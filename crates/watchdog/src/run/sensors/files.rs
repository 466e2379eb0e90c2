//! Files, logins and the network: what changes slowly.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use latimer_protocol::status::AccountState;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::super::process::Identity;
use super::super::proxy_client::ProxyClient;
use crate::files::{LEARNED_FILE, PROXY_FILE};
use crate::signal::{CacheCorrupt, NetworkState, Signal, StalePort, TokenExpiring};
use crate::time::Time;

/// How often files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How many looks lie between two questions about logins.
const POLLS_PER_LOGIN_CHECK: u32 = 60;
/// How long the question may take.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(5);

/// The files and the port that are watched.
#[derive(Debug, Clone)]
pub struct WatchedFiles {
    /// The configuration and the rules; one of them that is not there may come.
    pub files: Vec<PathBuf>,
    /// The proxy's binary.
    pub program: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Where we listen.
    pub address: SocketAddr,
    /// Logs of clients, each with the client's name.
    pub foreign_logs: Vec<(String, PathBuf)>,
}

/// Looks for ever.
pub async fn watch(
    watched: WatchedFiles,
    api: Arc<ProxyClient>,
    serving: watch::Receiver<Option<Identity>>,
    signals: mpsc::Sender<Signal>,
) {
    let mut sensor = FileSensor::new(&watched);
    let mut clock = tokio::time::interval(POLL_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0_u32;
    loop {
        clock.tick().await;
        let is_serving = serving.borrow().is_some();
        let mut found = sensor.look(&watched, is_serving);
        if is_serving && looks % POLLS_PER_LOGIN_CHECK == 1 {
            let accounts = api.accounts(ACCOUNTS_TIMEOUT).await.unwrap_or_default();
            found.extend(accounts.iter().filter_map(needs_login));
        }
        looks = looks.wrapping_add(1);
        for signal in found {
            if signals.send(signal).await.is_err() {
                return;
            }
        }
    }
}

/// What was seen the last time.
#[derive(Debug)]
struct FileSensor {
    files: Vec<FileVersion>,
    program: FileVersion,
    learned: FileVersion,
    was_stale: bool,
    network_up: bool,
}

type FileVersion = Option<(SystemTime, u64, u64)>;

impl FileSensor {
    fn new(watched: &WatchedFiles) -> Self {
        Self {
            files: watched.files.iter().map(|path| version(path)).collect(),
            program: version(&watched.program),
            // Not looked at yet: a file that is broken from the start is told.
            learned: None,
            was_stale: false,
            network_up: true,
        }
    }

    fn look(&mut self, watched: &WatchedFiles, is_serving: bool) -> Vec<Signal> {
        let mut signals = Vec::new();
        let program = version(&watched.program);
        // A file that is gone is likely being replaced.
        let changed =
            |old: &mut FileVersion, new: FileVersion| new.is_some() && std::mem::replace(old, new) != new;
        let mut is_changed = changed(&mut self.program, program);
        for (old, path) in self.files.iter_mut().zip(&watched.files) {
            is_changed |= changed(old, version(path));
        }
        if is_changed {
            signals.push(Signal::ConfigChanged);
        }
        let learned = watched.state_dir.join(LEARNED_FILE);
        if changed(&mut self.learned, version(&learned)) && is_broken(&learned) {
            let file = learned.to_string_lossy().into_owned();
            signals.push(Signal::CacheCorrupt(CacheCorrupt { file, known_bad: false }));
        }
        // Told when two looks in a row show it: a proxy that has just started is still about to write the file.
        let stale = stale_port(watched).filter(|_| is_serving);
        if std::mem::replace(&mut self.was_stale, stale.is_some())
            && let Some(stale) = stale
        {
            signals.push(Signal::StalePort(stale));
        }
        if let Some(up) = network()
            && up != self.network_up
        {
            self.network_up = up;
            signals.push(Signal::Network(NetworkState { up }));
        }
        signals
    }
}

fn version(path: &Path) -> FileVersion {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

fn is_broken(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).is_err())
}

/// The file from which `latimer launch` learns the address, when it names another port or is gone.
fn stale_port(watched: &WatchedFiles) -> Option<StalePort> {
    let path = watched.state_dir.join(PROXY_FILE);
    let expected = watched.address.port();
    let found = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .and_then(|value| value.get("url")?.as_str()?.rsplit(':').next()?.trim_end_matches('/').parse().ok())
        .unwrap_or(0);
    (found != expected).then(|| StalePort {
        client: "latimer".to_owned(),
        file: path.to_string_lossy().into_owned(),
        found,
        expected,
    })
}

/// A login that a person has to renew.
fn needs_login(account: &AccountState) -> Option<Signal> {
    (account.state == "needs_login").then(|| {
        Signal::TokenExpiring(TokenExpiring {
            login: account.login.clone(),
            account: account.id.clone(),
            expires_at: Time::from_secs(account.expires_at.unwrap_or(0)),
            refresh_failed: true,
        })
    })
}

/// Whether there is a route to the outside; `None` where the system does not tell.
fn network() -> Option<bool> {
    const IS_UP: u32 = 1;
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    let v4 = routes.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = fields.get(3).and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
        fields.get(1) == Some(&"00000000") && flags & IS_UP != 0
    });
    let v6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default().lines().any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_default = fields.first().is_some_and(|to| to.bytes().all(|byte| byte == b'0'))
            && fields.get(1) == Some(&"00");
        is_default && fields.last().is_some_and(|device| *device != "lo")
    });
    Some(v4 || v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(dir: &Path) -> WatchedFiles {
        WatchedFiles {
            files: vec![dir.join("config.toml"), dir.join("rules.toml")],
            program: dir.join("latimer"),
            state_dir: dir.to_owned(),
            address: ([127, 0, 0, 1], 4180).into(),
            foreign_logs: Vec::new(),
        }
    }

    #[test]
    fn changes_and_damage_are_seen_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let watched = watched(dir.path());
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        write("config.toml", "");
        write(PROXY_FILE, "{\"url\":\"http://127.0.0.1:4180\"}");
        let mut sensor = FileSensor::new(&watched);
        let mut look = || {
            let mut signals = sensor.look(&watched, true);
            signals.retain(|signal| !matches!(signal, Signal::Network(_)));
            signals
        };
        assert_eq!(look(), []);
        write("config.toml", "# changed");
        assert_eq!(look(), [Signal::ConfigChanged]);
        assert_eq!(look(), []);
        write(LEARNED_FILE, "{\"lessons\":{}}");
        assert_eq!(look(), []);
        write(LEARNED_FILE, "{\"lessons\":");
        assert!(matches!(&look()[..], [Signal::CacheCorrupt(_)]));
        assert_eq!(look(), []);
        write(PROXY_FILE, "{\"url\":\"http://127.0.0.1:9\"}");
        assert_eq!(look(), [], "it may just be being written");
        assert!(
            matches!(&look()[..], [Signal::StalePort(stale)] if stale.found == 9 && stale.expected == 4180)
        );
    }

    #[test]
    fn only_a_login_that_needs_a_person_is_told() {
        let account = |state: &str| AccountState {
            login: "google".into(),
            id: "a@b.test".into(),
            source: "latimer".into(),
            state: state.into(),
            expires_at: Some(5),
            project: None,
        };
        assert_eq!(needs_login(&account("ok")), None);
        assert_eq!(needs_login(&account("expired")), None, "it is refreshed at its next use");
        assert!(matches!(needs_login(&account("needs_login")), Some(Signal::TokenExpiring(_))));
    }
}
