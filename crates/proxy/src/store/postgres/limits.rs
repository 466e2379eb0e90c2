//! What holds over all nodes at once: rates, and who alone may do something for a while.

use std::sync::Arc;
use std::time::Duration;

use super::super::database_error::ErrorKind;
use super::errors::DatabaseProblem;
use super::{Common, PostgresStore};
use crate::accounts::{Fleet, FleetFuture, FleetLease};
use crate::clock;
use crate::sync::lock;

/// How long a turn waits for what all nodes together used: longer than a near database needs, and too short to be noticed.
const BUCKET_WAIT: Duration = Duration::from_millis(15);
/// How long a statement may take.
const LIMIT: Duration = Duration::from_secs(3);
/// How long a lease holds that nobody gives back: longer than a refresh may take.
const LEASE: f64 = 60.0;
/// How long another node's lease is waited for, and how often it is tried.
const LEASE_WAIT: Duration = Duration::from_secs(45);
const LEASE_STEP: Duration = Duration::from_millis(100);
/// How often it is tried to keep what a refresh token was used up for.
const KEEP_TRIES: u32 = 5;

/// A bucket that fills by itself, and from which all nodes take.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedBucket {
    /// The same on all nodes.
    pub name: String,
    /// How much is in it at most.
    pub capacity: f64,
    /// How much comes into it in a second.
    pub per_second: f64,
}

impl PostgresStore {
    /// Takes so much out of a bucket of all nodes, and says how long to wait until that is there: more can be owed. `None` where the
    /// database does not answer within milliseconds; what is taken counts there all the same, as soon as it answers.
    pub async fn take(&self, bucket: &SharedBucket, amount: f64) -> Option<Duration> {
        if !self.common.link.is_up() {
            return None;
        }
        let bucket = bucket.clone();
        let per_second = bucket.per_second;
        let taken = self.ask(async move |common| take(&common, &bucket, amount).await);
        let left = tokio::time::timeout(BUCKET_WAIT, taken).await.ok()?.ok()?.ok()?;
        Duration::try_from_secs_f64((-left).max(0.0) / per_second.max(f64::MIN_POSITIVE)).ok()
    }

    /// Gives back what was taken and not used. Never waits.
    pub fn give_back(&self, bucket: &SharedBucket, amount: f64) {
        let bucket = bucket.clone();
        drop(self.ask(async move |common| take(&common, &bucket, -amount).await));
    }
}

async fn take(common: &Common, bucket: &SharedBucket, amount: f64) -> Result<f64, DatabaseProblem> {
    const TAKE: &str = "INSERT INTO buckets AS b (name, tokens, filled) VALUES ($1, $2 - $4, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET
            tokens = least($2, b.tokens + greatest(extract(epoch FROM clock_timestamp() - b.filled), 0)::float8 * $3) - $4,
            filled = greatest(b.filled, clock_timestamp())
        RETURNING tokens";
    common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(TAKE).await?;
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&bucket.name, &bucket.capacity, &bucket.per_second, &amount];
            Ok(connection.query_one(&statement, &values).await?.get(0))
        })
        .await
}

/// Gives the lease back when it is dropped.
struct Lease {
    common: Arc<Common>,
    work: tokio::sync::mpsc::UnboundedSender<super::Work>,
    name: String,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (name, holder) = (self.name.clone(), self.common.ids.run().to_owned());
        let _ = self.work.send(Box::new(move |common| {
            Box::pin(async move {
                let given_back = common.connector.with(LIMIT, async |connection| {
                    const GIVE_BACK: &str = "DELETE FROM leases WHERE name = $1 AND holder = $2";
                    Ok(connection.execute(GIVE_BACK, &[&name, &holder]).await?)
                });
                // Without it the lease ends by itself.
                let _ = given_back.await;
            })
        }));
    }
}

impl Fleet for PostgresStore {
    fn take<'f>(&'f self, account: &'f str) -> FleetFuture<'f, Result<FleetLease, String>> {
        Box::pin(async move {
            let begun = clock::now();
            while begun.elapsed() < LEASE_WAIT {
                let name = account.to_owned();
                let taken = self.ask(async move |common| {
                    lease(&common, &name).await.map_err(|problem| problem.of(common.connector.name()))
                });
                match taken.await {
                    Ok(Ok(true)) => {
                        let (common, work) = (Arc::clone(&self.common), self.work.clone());
                        return Ok(Box::new(Lease { common, work, name: account.to_owned() }) as FleetLease);
                    }
                    Ok(Ok(false)) => tokio::time::sleep(LEASE_STEP).await,
                    // Who refreshed it last knows the only refresh token that is good.
                    _ if lock(&self.common.refreshed).contains(account) => {
                        return Ok(Box::new(()) as FleetLease);
                    }
                    Ok(Err(error)) => {
                        return Err(format!(
                            "{error}; until it answers, nobody knows which node may refresh the account"
                        ));
                    }
                    Err(_) => return Err("the store has stopped".to_owned()),
                }
            }
            Err("another node refreshes the account, and takes too long".to_owned())
        })
    }

    fn newest<'f>(&'f self, account: &'f str) -> FleetFuture<'f, Option<Vec<u8>>> {
        Box::pin(async move {
            let name = account.to_owned();
            let found = self.ask(async move |common| newest(&common, &name).await);
            let (sealed, node) = found.await.ok()?.ok()??;
            if node != self.common.ids.run() {
                lock(&self.common.refreshed).remove(account);
            }
            let opened = self.common.seal.open(account, &sealed);
            if opened.is_none() {
                tracing::warn!(
                    event = "account.sealed_otherwise",
                    database = self.name(),
                    note = "another node sealed an account with another secret; all nodes need the same token, or the same [store] secret_env"
                );
            }
            opened
        })
    }

    fn keep<'f>(&'f self, account: &'f str, tokens: Vec<u8>) -> FleetFuture<'f, bool> {
        Box::pin(async move {
            lock(&self.common.refreshed).insert(account.to_owned());
            let Some(sealed) = self.common.seal.seal(account, &tokens) else { return false };
            for _ in 0..KEEP_TRIES {
                let (name, sealed) = (account.to_owned(), sealed.clone());
                let kept = self.ask(async move |common| keep(&common, &name, &sealed).await);
                if matches!(kept.await, Ok(Ok(()))) {
                    return true;
                }
                tokio::time::sleep(LEASE_STEP * 5).await;
            }
            false
        })
    }
}

async fn lease(common: &Common, name: &str) -> Result<bool, DatabaseProblem> {
    const TAKE: &str = "INSERT INTO leases AS l (name, holder, ends) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends = excluded.ends WHERE l.ends < clock_timestamp() RETURNING holder";
    if !common.link.is_up() {
        return Err(DatabaseProblem::Timeout);
    }
    let taken = common.connector.with(LIMIT, async |connection| {
        Ok(connection.query_opt(TAKE, &[&name, &common.ids.run(), &LEASE]).await?.is_some())
    });
    taken.await.inspect_err(|problem| {
        if problem.of("").kind == ErrorKind::Away {
            common.link.lost(problem);
        }
    })
}

async fn newest(common: &Common, name: &str) -> Result<Option<(Vec<u8>, String)>, DatabaseProblem> {
    common
        .connector
        .with(LIMIT, async |connection| {
            let row =
                connection.query_opt("SELECT sealed, node FROM accounts WHERE name = $1", &[&name]).await?;
            Ok(row.map(|row| (row.get(0), row.get(1))))
        })
        .await
}

async fn keep(common: &Common, name: &str, sealed: &[u8]) -> Result<(), DatabaseProblem> {
    const KEEP: &str = "INSERT INTO accounts (name, sealed, node, written) VALUES ($1, $2, $3, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, node = excluded.node, written = excluded.written";
    common
        .connector
        .with(LIMIT, async |connection| {
            connection.execute(KEEP, &[&name, &sealed, &common.ids.run()]).await?;
            Ok(())
        })
        .await
}
