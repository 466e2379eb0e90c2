//! What nodes tell each other: small entries that each node writes, and all others hear of within a second or two.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client};

use super::Common;
use super::errors::DatabaseProblem;
use crate::sync::lock;

/// How often it is looked for news where nobody tells of any.
const POLL: Duration = Duration::from_secs(1);
/// How long a statement may take.
const LIMIT: Duration = Duration::from_secs(6);
/// Entries that wait to be written. The last word on a name counts, so that a longer wait loses nothing.
const MAX_WAITING: usize = 20_000;
/// Entries of one statement.
const MAX_BATCH: usize = 1000;
/// The longest name of an entry, in bytes.
const MAX_NAME: usize = 1000;
/// How long it is remembered that an entry was taken back.
const TAKEN_BACK: Duration = Duration::from_secs(2 * 24 * 3600);
/// The lock under which entries get their numbers, so that nobody who reads behind a number misses an earlier one.
const NUMBERS_LOCK: i64 = 0x6c61_7469_6d65_0003;

/// What nodes are told when a client key was made or changed.
pub(super) const KEYS_CHANGED: &str = "keys";

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// How a target is doing: its circuit, its limit.
    Target,
    /// A key or account that rests.
    Key,
    /// Who answered a conversation.
    Affinity,
    /// What a target taught.
    Lesson,
    /// An answer that was deleted.
    Forgotten,
    /// What the watchdog of a node saw.
    Incident,
}

impl Topic {
    const NAMES: [(&str, Self); 6] = [
        ("target", Self::Target),
        ("key", Self::Key),
        ("affinity", Self::Affinity),
        ("lesson", Self::Lesson),
        ("forgotten", Self::Forgotten),
        ("incident", Self::Incident),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, topic)| *topic == self).map_or("", |(name, _)| name)
    }

    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, topic)| *topic)
    }
}

/// What another node told.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedEntry {
    /// What it is about.
    pub topic: Topic,
    /// Which one of these.
    pub name: String,
    /// What is so; `None` where it is so no longer.
    pub value: Option<String>,
    /// How long ago that was told, on the clock of the database.
    pub age: Duration,
    /// How long it still holds.
    pub left: Duration,
}

/// Whoever takes up what other nodes told.
pub type Listener = Arc<dyn Fn(&SharedEntry) + Send + Sync>;

/// What an entry is about, and which one of these.
type EntryName = (Topic, String);
/// What is so, and for how long.
type EntryValue = (Option<String>, Duration);

/// What this node has to tell, and who listens to others.
pub(super) struct Exchange {
    waiting: Mutex<HashMap<EntryName, EntryValue>>,
    news: Notify,
    listener: Mutex<Option<Listener>>,
    /// The last entry that was heard.
    heard: AtomicI64,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            news: Notify::new(),
            listener: Mutex::default(),
            heard: AtomicI64::new(0),
        }
    }
}

impl Exchange {
    /// Tells all nodes. Never waits.
    pub(super) fn tell(&self, topic: Topic, name: &str, value: Option<String>, holds: Duration) {
        if name.len() > MAX_NAME {
            return;
        }
        let holds = if value.is_some() { holds } else { TAKEN_BACK };
        let mut waiting = lock(&self.waiting);
        let key = (topic, name.replace('\0', "\u{fffd}"));
        if waiting.len() < MAX_WAITING || waiting.contains_key(&key) {
            waiting.insert(key, (value.map(|value| value.replace('\0', "\u{fffd}")), holds));
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// From now on, this one hears what others tell, and first of everything that holds already.
    pub(super) fn listen(&self, listener: Listener) {
        *lock(&self.listener) = Some(listener);
        self.heard.store(0, Ordering::Relaxed);
    }
}

/// An entry on its way.
#[derive(Serialize)]
struct Outgoing<'e> {
    topic: &'static str,
    name: &'e str,
    value: Option<&'e str>,
    holds: f64,
}

/// Writes what this node has to tell, for ever.
pub(super) async fn write(common: Arc<Common>) {
    loop {
        let _ = tokio::time::timeout(POLL, common.exchange.news.notified()).await;
        while common.link.is_up() && !lock(&common.exchange.waiting).is_empty() {
            let batch: Vec<_> = {
                let mut waiting = lock(&common.exchange.waiting);
                let keys: Vec<_> = waiting.keys().take(MAX_BATCH).cloned().collect();
                keys.into_iter().filter_map(|key| waiting.remove_entry(&key)).collect()
            };
            if let Err(problem) = insert(&common, &batch).await {
                common.link.lost(&problem);
                let mut waiting = lock(&common.exchange.waiting);
                for (key, value) in batch {
                    // What was said meanwhile is newer.
                    waiting.entry(key).or_insert(value);
                }
            }
        }
    }
}

async fn insert(common: &Common, batch: &[(EntryName, EntryValue)]) -> Result<(), DatabaseProblem> {
    const INSERT: &str = "WITH place AS MATERIALIZED (SELECT pg_advisory_xact_lock($3)), written AS (
            INSERT INTO shared (topic, name, value, node, seq, written, ends)
            SELECT r.topic, r.name, r.value, $2, nextval('shared_seq_of'), clock_timestamp(), clock_timestamp() + r.holds * interval '1 second'
            FROM place, jsonb_to_recordset($1::text::jsonb) AS r(topic text, name text, value text, holds float8)
            ON CONFLICT (topic, name) DO UPDATE SET value = excluded.value, node = excluded.node, seq = excluded.seq, written = excluded.written, ends = excluded.ends
        ) SELECT pg_notify('latimer', $2)";
    let outgoing: Vec<Outgoing<'_>> = batch
        .iter()
        .map(|((topic, name), (value, holds))| Outgoing {
            topic: topic.name(),
            name,
            value: value.as_deref(),
            holds: holds.as_secs_f64(),
        })
        .collect();
    let text = serde_json::to_string(&outgoing).unwrap_or_default();
    common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(INSERT).await?;
            connection.query(&statement, &[&text, &common.ids.run(), &NUMBERS_LOCK]).await?;
            Ok(())
        })
        .await
}

/// Hears what other nodes tell, for ever.
pub(super) async fn hear(common: Arc<Common>) {
    loop {
        if common.link.is_up()
            && let Err(problem) = hear_on_one_connection(&common).await
        {
            common.link.lost(&problem);
        }
        let _ = tokio::time::timeout(POLL, common.link.until_back()).await;
    }
}

async fn hear_on_one_connection(common: &Arc<Common>) -> Result<(), DatabaseProblem> {
    let (client, mut connection) = common.connector.alone().await?;
    let told = Arc::new(Notify::new());
    let driver = {
        let (told, common) = (Arc::clone(&told), Arc::clone(common));
        async move {
            let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
            while let Some(message) = messages.next().await {
                match message {
                    Ok(AsyncMessage::Notification(said)) if said.payload() == KEYS_CHANGED => {
                        let listener = lock(&common.key_listener).clone();
                        listener.inspect(|listener| listener());
                    }
                    Ok(AsyncMessage::Notification(_)) => told.notify_one(),
                    Ok(_) => {}
                    Err(error) => return Err(DatabaseProblem::from(error)),
                }
            }
            Err(DatabaseProblem::Timeout)
        }
    };
    let listener = async {
        tokio::time::timeout(LIMIT, client.batch_execute("LISTEN latimer")).await??;
        loop {
            while tokio::time::timeout(LIMIT, news(common, &client)).await?? {}
            let _ = tokio::time::timeout(POLL, told.notified()).await;
        }
    };
    tokio::select! {
        result = driver => result,
        result = listener => result,
    }
}

/// Hands on what is new; true where there is more.
async fn news(common: &Common, client: &Client) -> Result<bool, DatabaseProblem> {
    const NEWS: &str = "SELECT topic, name, value, seq, greatest(extract(epoch FROM clock_timestamp() - written), 0)::float8, greatest(extract(epoch FROM ends - clock_timestamp()), 0)::float8
        FROM shared WHERE seq > $1 AND node <> $2 AND ends > clock_timestamp() ORDER BY seq LIMIT 1000";
    let Some(listener) = lock(&common.exchange.listener).clone() else { return Ok(false) };
    let heard = common.exchange.heard.load(Ordering::Relaxed);
    let rows = client.query(NEWS, &[&heard, &common.ids.run()]).await?;
    let mut last = heard;
    for row in &rows {
        last = row.get(3);
        let Some(topic) = Topic::of(row.get(0)) else { continue };
        let entry = SharedEntry {
            topic,
            name: row.get(1),
            value: row.get(2),
            age: Duration::try_from_secs_f64(row.get(4)).unwrap_or_default(),
            left: Duration::try_from_secs_f64(row.get(5)).unwrap_or_default(),
        };
        if topic == Topic::Forgotten {
            lock(&common.recent).delete(&entry.name);
        }
        listener(&entry);
    }
    // Somebody who began to listen meanwhile hears everything anew.
    let _ = common.exchange.heard.compare_exchange(heard, last, Ordering::Relaxed, Ordering::Relaxed);
    Ok(rows.len() == 1000)
}
