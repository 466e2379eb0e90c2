//! Where usage and answers are kept: in a file of the state directory, or in a database that several nodes share.

use latimer_protocol::secret::Secret;

use super::database_url::DatabaseUrl;

/// Where usage and answers are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StoreSettings {
    /// In the file of the state directory.
    #[default]
    File,
    /// In a database that several nodes share.
    Shared(Box<SharedStore>),
}

/// A database that several nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStore {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Connections at once, at most.
    pub pool: usize,
    /// Seals what may not stand there in clear; without one the token of the state directory does.
    pub secret: Option<Secret>,
}
