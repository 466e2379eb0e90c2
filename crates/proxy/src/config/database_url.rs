//! The address of a shared database, and what may be said of it without its password.

use std::path::PathBuf;
use std::time::Duration;

use latimer_protocol::secret::Secret;
use tokio_postgres::config::{Host, SslMode};

/// How long a connection to the database may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long bytes may be on their way to the database before the connection counts as dead.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// What stands in front of the address.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// A database that several nodes share.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// As written, so that it is known as a secret.
    text: Secret,
    /// Alone, so that it is known as a secret too.
    password: Option<Secret>,
    config: tokio_postgres::Config,
    /// Certificates in PEM that are trusted beside the machine's own: `sslrootcert`.
    ca_file: Option<PathBuf>,
    name: String,
}

impl DatabaseUrl {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    ///
    /// The connection is encrypted, and the server's certificate checked, unless the host is this machine or `sslmode=disable` is said.
    ///
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(
                "should begin with postgres://, as postgres://user:password@host:5432/database; without `[store]` everything is kept in a file"
                    .to_owned(),
            );
        }
        let secret = Secret::new(text);
        let (text, ca_file, mode) = without_tls(text);
        let mut config: tokio_postgres::Config = text
            .parse()
            .map_err(|_| "is no address of a database; it is written postgres://user:password@host:5432/database, with %40 for an @ of the password".to_owned())?;
        if config.get_hosts().is_empty() {
            return Err("names no host; write postgres://user:password@host:5432/database".to_owned());
        }
        let mode = match mode.as_deref() {
            Some("disable") => SslMode::Disable,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            None | Some("allow" | "prefer") if is_near(&config) => SslMode::Disable,
            None | Some("allow" | "prefer") => SslMode::Require,
            Some(_) => {
                return Err(
                    "has another `sslmode` than disable, require, verify-ca or verify-full".to_owned()
                );
            }
        };
        config.ssl_mode(mode).connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(TCP_TIMEOUT);
        config.application_name("latimer");
        let password = config.get_password().map(|password| Secret::new(String::from_utf8_lossy(password)));
        let name = name(&config);
        Ok(Self { text: secret, password: password.filter(|word| !word.is_empty()), config, ca_file, name })
    }

    /// Host, port and database: what is told to people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a connection needs.
    pub fn config(&self) -> &tokio_postgres::Config {
        &self.config
    }

    /// Certificates that are trusted beside the machine's own.
    pub fn ca_file(&self) -> Option<&std::path::Path> {
        self.ca_file.as_deref()
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DatabaseUrl {}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseUrl")
            .field("name", &self.name)
            .field("password", &self.password)
            .finish_non_exhaustive()
    }
}

/// The text without the parameters of TLS, which are ours to read: the file of certificates, and the mode.
fn without_tls(text: &str) -> (String, Option<PathBuf>, Option<String>) {
    let Some((address, query)) = text.split_once('?') else { return (text.to_owned(), None, None) };
    let (mut ca_file, mut mode, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => ca_file = Some(PathBuf::from(path.replace("%2F", "/"))),
            Some(("sslmode", word)) => mode = Some(word.to_owned()),
            _ => rest.push(pair),
        }
    }
    let query = rest.join("&");
    let text = if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") };
    (text, ca_file, mode)
}

/// Whether every host is this machine.
fn is_near(config: &tokio_postgres::Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    })
}

fn name(config: &tokio_postgres::Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or("postgres");
    format!("{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> SslMode {
        DatabaseUrl::parse(text).expect(text).config().get_ssl_mode()
    }

    #[test]
    fn tls_is_left_out_only_on_this_machine_or_on_demand() {
        for near in ["postgres://me@localhost/x", "postgresql://me@127.0.0.1:1/x?sslmode=prefer"] {
            assert_eq!(mode(near), SslMode::Disable, "{near}");
        }
        for far in [
            "postgres://db.test/x",
            "postgres://db.test/x?sslmode=verify-full",
            "postgres://localhost/x?sslmode=require",
        ] {
            assert_eq!(mode(far), SslMode::Require, "{far}");
        }
        assert_eq!(mode("postgres://db.test/x?sslmode=disable"), SslMode::Disable);
        let with_file = DatabaseUrl::parse("postgres://db.test/x?sslrootcert=/etc/ca.pem&connect_timeout=5")
            .expect("read");
        assert_eq!(with_file.ca_file(), Some(std::path::Path::new("/etc/ca.pem")));
    }

    #[test]
    fn its_password_is_never_told() {
        let url = DatabaseUrl::parse("postgres://me:hunter2%40x@db.test:6432/shared").expect("read");
        assert_eq!(url.name(), "db.test:6432/shared");
        assert!(!format!("{url:?}").contains("hunter2"), "{url:?}");
        assert_eq!(latimer_protocol::secret::redact("it is hunter2@x"), "it is ***");
        for broken in [
            "mysql://me:hunter2@db/x",
            "postgres://me:hunter2@db:port/x",
            "postgres://me:hunter2@db/x?sslmode=maybe",
            "",
        ] {
            let words = DatabaseUrl::parse(broken).expect_err(broken);
            assert!(!words.contains("hunter2"), "{words}");
        }
    }
}
