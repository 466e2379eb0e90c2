//! What a person has done to the shared database by a command.

use std::path::Path;
use std::time::Duration;

use super::super::database_error::DatabaseError;
use super::super::engine::StoreError;
use super::copy::{Copied, Source};
use super::errors::DatabaseProblem;
use super::schema::Migration;
use super::{Common, PostgresStore, answers, rows, schema};

/// How long a command waits.
const LIMIT: Duration = Duration::from_secs(600);

impl PostgresStore {
    /// Makes the tables, or brings them up to this version.
    ///
    /// # Errors
    /// The database is away, refuses, or has tables of a newer latimer or of somebody else.
    pub fn migrate(&self) -> Result<Migration, DatabaseError> {
        let name = self.common.connector.name();
        let done = self.ask(async |common| {
            schema::migrate(&common.connector).await.map_err(|problem| problem.of(common.connector.name()))
        });
        Self::receive(done, LIMIT).map_err(|problem| problem.of(name))?
    }

    /// Compares the tables with what this latimer knows, and counts what is in them.
    ///
    /// # Errors
    /// As [`PostgresStore::migrate`].
    pub fn check(&self) -> Result<Vec<(String, i64)>, DatabaseError> {
        let name = self.common.connector.name();
        let counts = self
            .ask(async |common| count(&common).await.map_err(|problem| problem.of(common.connector.name())));
        Self::receive(counts, LIMIT).map_err(|problem| problem.of(name))?
    }

    /// Gives back the room of what was deleted.
    ///
    /// # Errors
    /// As [`PostgresStore::migrate`].
    pub fn vacuum(&self) -> Result<(), DatabaseError> {
        let name = self.common.connector.name();
        let done = self
            .ask(async |common| vacuum(&common).await.map_err(|problem| problem.of(common.connector.name())));
        Self::receive(done, LIMIT).map_err(|problem| problem.of(name))?
    }

    /// Copies what a file of one person holds. What was copied before is not copied again.
    ///
    /// # Errors
    /// The file cannot be read, or as [`PostgresStore::migrate`].
    pub fn copy_from(&self, file: &Path) -> Result<Copied, StoreError> {
        let name = self.common.connector.name();
        let mut source = Source::open(file)?;
        let mut copied = Copied::default();
        while let Some(records) = source.next_rows()? {
            copied.found += records.len() as u64;
            let added = self.ask(async move |common| rows::add(&common, &records).await);
            let added = Self::receive(added, LIMIT).and_then(|added| added);
            copied.rows += added.map_err(|problem| problem.of(name))?;
        }
        while let Some((id, stored)) = source.next_answer()? {
            let added = self.ask(async move |common| answers::insert(&common, &[(&id, &stored)]).await);
            let added = Self::receive(added, LIMIT).and_then(|added| added);
            added.map_err(|problem| problem.of(name))?;
            copied.answers += 1;
        }
        Ok(copied)
    }
}

/// How many there are of everything, after the tables were found to be right.
///
/// # Errors
/// They are not, or the database is away.
async fn count(common: &Common) -> Result<Vec<(String, i64)>, DatabaseProblem> {
    common
        .connector
        .with(LIMIT, async |connection| {
            let version = schema::version(connection).await?;
            schema::refuse_newer(version)?;
            if version == 0 {
                return Ok(vec![("version".to_owned(), 0)]);
            }
            schema::check(connection).await?;
            let mut counts = vec![("version".to_owned(), version)];
            for table in ["usage", "reports", "responses", "client_keys"] {
                let row = connection.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
                counts.push((table.to_owned(), row.get(0)));
            }
            Ok(counts)
        })
        .await
}

/// Gives back the room of what was deleted, and counts anew what the planner wants to know.
///
/// # Errors
/// The database is away, or refuses.
async fn vacuum(common: &Common) -> Result<(), DatabaseProblem> {
    common
        .connector
        .with(LIMIT, async |connection| {
            for table in [
                "usage",
                "reports",
                "responses",
                "shared",
                "buckets",
                "leases",
                "client_key_use",
                "client_key_now",
            ] {
                connection.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
            }
            Ok(())
        })
        .await
}
