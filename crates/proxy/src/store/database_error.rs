//! What goes wrong with a shared database, as people are told.

/// What went wrong with the shared database.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the database {database}: {what}")]
pub struct DatabaseError {
    /// Which one: host, port and name.
    pub database: String,
    /// What is the matter, and what helps.
    pub what: String,
    /// Whether it may pass by itself.
    pub kind: ErrorKind,
}

/// Whether an error may pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It does not answer, or not in time; it may be back in a moment.
    Away,
    /// It may not be written now, as while another server takes over.
    ReadOnly,
    /// Somebody has to change something: the address, a password, a right, a version.
    Refused,
    /// What was sent is to blame.
    Data,
}
