//! What goes wrong with a shared database, in a sentence with its remedy, and whether it may pass by itself.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use latimer_protocol::secret::redact;
use tokio_postgres::error::SqlState;

use super::super::database_error::{DatabaseError, ErrorKind};

/// An error inside of a piece of work, before it is told of which database.
#[derive(Debug)]
pub(super) enum DatabaseProblem {
    /// No connection was free or could be made, or it broke.
    Pool(PoolError),
    /// What the database said.
    Database(tokio_postgres::Error),
    /// It did not answer in time.
    Timeout,
    /// The tables are of a newer latimer.
    Newer { found: i64, known: i64 },
    /// Tables of these names are somebody else's, or were changed.
    Foreign(String),
    /// TLS cannot be set up.
    Tls(String),
}

impl From<PoolError> for DatabaseProblem {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Database(error),
            PoolError::Timeout(_) => Self::Timeout,
            other => Self::Pool(other),
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseProblem {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<tokio::time::error::Elapsed> for DatabaseProblem {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Timeout
    }
}

impl DatabaseProblem {
    /// The same, told of a database.
    pub(super) fn of(&self, database: &str) -> DatabaseError {
        let (kind, what) = self.told();
        // What a server says may repeat what it was sent.
        DatabaseError { database: database.to_owned(), what: redact(&what), kind }
    }

    fn told(&self) -> (ErrorKind, String) {
        match self {
            Self::Pool(error) => (ErrorKind::Away, format!("no connection ({error})")),
            Self::Timeout => (ErrorKind::Away, "it did not answer in time".to_owned()),
            Self::Newer { found, known } => (
                ErrorKind::Refused,
                format!(
                    "its tables are of a newer latimer (version {found}, this one knows {known}); install that release on this node too"
                ),
            ),
            Self::Foreign(table) => (
                ErrorKind::Refused,
                format!(
                    "its table `{table}` is not as latimer made it; give latimer a database of its own, or put the table right"
                ),
            ),
            Self::Tls(words) => (ErrorKind::Refused, format!("TLS cannot be set up: {words}")),
            Self::Database(error) => of_postgres(error),
        }
    }
}

fn of_postgres(error: &tokio_postgres::Error) -> (ErrorKind, String) {
    let Some(said) = error.as_db_error() else {
        let cause = error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        if cause.contains("certificate") || cause.contains("TLS") || cause.contains("tls") {
            let help = "check the host's name and certificate, name a private CA by sslrootcert=FILE in the url, or say sslmode=disable in a network of your own";
            return (ErrorKind::Refused, format!("the connection cannot be secured ({cause}); {help}"));
        }
        if cause.contains("password missing") {
            return (ErrorKind::Refused, "it wants a password; write it into the url".to_owned());
        }
        return (
            ErrorKind::Away,
            format!("it cannot be reached ({cause}); is it running, and is host and port of [store] right?"),
        );
    };
    let code = said.code();
    let words = said.message();
    let refused = |help: &str| (ErrorKind::Refused, format!("{words}; {help}"));
    if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) {
        return refused("check user and password in [store] url");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return refused("make it with `createdb`, or correct its name in [store] url");
    }
    if [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_SCHEMA_NAME].contains(code) {
        return refused(
            "the user of [store] url needs the right to make and change tables: GRANT CREATE, USAGE ON SCHEMA public, or make it the owner of the database",
        );
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return (
            ErrorKind::ReadOnly,
            format!(
                "{words}: it may only be read; point [store] url at the primary server, or end default_transaction_read_only"
            ),
        );
    }
    if [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(code) {
        return (ErrorKind::Away, format!("{words}; make room for it"));
    }
    if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_OBJECT].contains(code) {
        return refused(
            "somebody changed its tables; `latimer store check` says more, `latimer store migrate` makes what is missing",
        );
    }
    if *code == SqlState::TOO_MANY_CONNECTIONS {
        return (ErrorKind::Away, format!("{words}; raise max_connections, or lower [store] pool"));
    }
    match code.code().get(..2) {
        // Data, constraints, syntax of a value: sent again it would be refused again.
        Some("22" | "23") => (ErrorKind::Data, words.to_owned()),
        _ => (ErrorKind::Away, format!("{words} ({})", code.code())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_names_the_database_and_the_remedy() {
        let newer = DatabaseProblem::Newer { found: 9, known: 1 }.of("db.test:5432/shared");
        let words = newer.to_string();
        assert!(
            words.starts_with("the database db.test:5432/shared: ") && words.contains("newer"),
            "{words}"
        );
        assert_eq!(newer.kind, ErrorKind::Refused);
        assert_eq!(DatabaseProblem::Timeout.of("d").kind, ErrorKind::Away);
    }
}
