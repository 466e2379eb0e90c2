//! Keys and their limits over several nodes, on a real database.

use std::num::NonZeroU32;

use futures_util::future::join_all;

use super::*;
use crate::clock;
use crate::keys::keyring::{ClientKey, Denied, KeyLookup, KeyProblem, KeyTurn, Keyring};
use crate::keys::limits::{Limits, Rate};
use crate::keys::live::OverLimit;
use crate::keys::scope::ModelScope;
use crate::keys::secret::NewSecret;
use crate::store::engine_tests::{Opened, node, server};

/// Longer than any machine needs: what is tested is how it is counted.
const WAIT: Duration = Duration::from_secs(20);

/// A node: its store, and its keys.
struct Node {
    opened: Opened,
    keys: Arc<Keyring>,
}

/// So many nodes on one database.
fn nodes(url: &str, count: usize) -> Vec<Node> {
    let nodes: Vec<Node> = (0..count)
        .map(|number| {
            let opened = node(url, &format!("node-{number}"));
            let store = Arc::clone(opened.store.nodes().expect("shared"));
            let keys = Keyring::shared_waiting(Box::new(move || Ok(Box::new(store.keys()))), WAIT);
            opened.store.nodes().expect("shared").listen_for_keys(keys.look_soon());
            let keys = Arc::new(keys);
            // What the clockwork does in a proxy.
            let known = Arc::downgrade(&keys);
            tokio::spawn(async move {
                while let Some(keys) = known.upgrade() {
                    let _ = keys.exchange().await;
                    drop(keys);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            Node { opened, keys }
        })
        .collect();
    nodes
}

impl Node {
    fn store(&self) -> SharedKeys {
        self.opened.store.nodes().expect("shared").keys()
    }

    async fn find(&self, key: &NewSecret) -> Result<Arc<ClientKey>, KeyProblem> {
        match self.keys.find([key.key.expose()].into_iter()).await {
            KeyLookup::Key(key) => Ok(key),
            KeyLookup::Refused(problem) => Err(problem),
            KeyLookup::Nothing => panic!("it has the form of a key"),
        }
    }

    async fn admit(&self, key: &NewSecret) -> Result<KeyTurn, OverLimit> {
        let known = self.find(key).await.expect("known");
        match self.keys.admit(&known).await {
            Ok(turn) => Ok(turn),
            Err(Denied::Limit(_, over)) => Err(over),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn nodes(&self) -> u32 {
        self.keys.counting().expect("shared").nodes
    }

    fn is_global(&self) -> bool {
        self.keys.counting().expect("shared").is_global
    }
}

fn make(node: &Node, name: &str, limits: Limits) -> NewSecret {
    let made = NewSecret::draw().expect("randomness");
    let record = KeyRecord {
        id: made.id.clone(),
        name: name.to_owned(),
        proof: made.proof.clone(),
        models: ModelScope::All,
        limits,
        created_at: clock::unix_now(),
        expires_at: None,
        rotated_at: None,
        revoked_at: None,
    };
    node.store().add(&record).expect("added");
    made
}

/// Waits until something is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..1200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("waited in vain");
}

async fn until_all_count(nodes: &[Node]) {
    let count = u32::try_from(nodes.len()).expect("few");
    until(async || nodes.iter().all(|node| node.is_global() && node.nodes() == count)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_follows_what_one_of_them_changes() {
    let Some(url) = server::database() else { return };
    let nodes = nodes(&url, 3);
    let made = make(&nodes[0], "anna", Limits::default());
    for node in &nodes {
        until(async || node.find(&made).await.is_ok()).await;
    }
    let taken = nodes[1].store().add(&nodes[2].find(&made).await.expect("known").record);
    assert!(matches!(taken, Err(KeyStoreError::NameTaken(name)) if name == "anna"));
    let next = NewSecret::draw_for(made.id.clone()).expect("randomness");
    nodes[1].store().rotate("anna", &next.proof, 7).expect("rotated");
    for node in &nodes {
        until(async || node.find(&next).await.is_ok()).await;
        assert_eq!(node.find(&made).await.err(), Some(KeyProblem::Unknown));
    }
    nodes[2].store().revoke("anna", 9).expect("revoked");
    for node in &nodes {
        until(async || node.find(&next).await.err() == Some(KeyProblem::Revoked("anna".to_owned()))).await;
    }
    assert!(matches!(nodes[0].store().rotate("anna", &made.proof, 9), Err(KeyStoreError::Revoked(_))));
    assert!(matches!(nodes[0].store().revoke("bert", 9), Err(KeyStoreError::Unknown(_))));
    make(&nodes[0], "anna", Limits::default());
    let all = nodes[1].store().all().expect("read");
    assert_eq!(all.iter().map(|record| record.revoked_at).collect::<Vec<_>>(), [Some(9), None]);
    let secret = &made.key.expose()[made.key.expose().len() - 64..];
    let held = server::shared().expect("it runs").sql(
        server::name_of(&url),
        &format!("SELECT count(*) FROM client_keys AS k WHERE k::text ILIKE '%{secret}%' OR encode(hash, 'hex') = '{secret}'"),
    );
    assert_eq!(held, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_a_minute_over_three_nodes_are_sixty() {
    let Some(url) = server::database() else { return };
    let nodes = nodes(&url, 3);
    until_all_count(&nodes).await;
    let limits = Limits { requests: Rate::of_count("60/min").ok(), ..Limits::default() };
    let made = make(&nodes[0], "anna", limits);
    for node in &nodes {
        until(async || node.find(&made).await.is_ok()).await;
    }
    let begun = clock::now();
    let burst = nodes.iter().flat_map(|node| std::iter::repeat_n(node, 40)).map(|node| node.admit(&made));
    let passed = join_all(burst).await.iter().filter(|one| one.is_ok()).count();
    let flowed = usize::try_from(begun.elapsed().as_secs()).expect("short") + 1;
    assert!((57..=63 + flowed).contains(&passed), "{passed} in {:?}", begun.elapsed());
    // What one node took all of them know: nothing is left on any of them.
    let mut refused = 0;
    for node in &nodes {
        refused += usize::from(node.admit(&made).await.is_err());
    }
    assert!(refused >= 2, "one flows back in a second");
    let over = join_all(nodes.iter().map(|node| node.admit(&made))).await;
    let waits: Vec<u64> = over.into_iter().filter_map(Result::err).map(OverLimit::wait_seconds).collect();
    assert!(waits.iter().all(|wait| (1..=4).contains(wait)), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_at_once_are_counted_over_all_nodes_and_those_of_a_dead_one_end() {
    let Some(url) = server::database() else { return };
    let nodes = nodes(&url, 3);
    until_all_count(&nodes).await;
    let limits = Limits { parallel: NonZeroU32::new(4), ..Limits::default() };
    let made = make(&nodes[0], "anna", limits);
    let mut open = Vec::new();
    for number in 0..4 {
        open.push(nodes[number % 2].admit(&made).await.expect("four may"));
    }
    for node in &nodes {
        assert_eq!(node.admit(&made).await.err(), Some(OverLimit::Parallel(4)));
    }
    open.pop();
    until(async || {
        let begun = nodes[2].admit(&made).await;
        let is_begun = begun.is_ok();
        begun.into_iter().for_each(std::mem::forget);
        is_begun
    })
    .await;
    assert_eq!(nodes[0].admit(&made).await.err(), Some(OverLimit::Parallel(4)), "another one has its place");
    drop(open);
    // A node that says nothing any more has no turns.
    let dead = make(&nodes[0], "bert", limits);
    let database = server::shared().expect("it runs");
    let ghost = |age: u64| {
        let row = format!(
            "('{}', 0, 0, 0, now(), jsonb_build_object('ghost', jsonb_build_array(4, 0, extract(epoch FROM now())::bigint - {age})))",
            dead.id
        );
        let put = format!(
            "INSERT INTO client_key_now VALUES {row} ON CONFLICT (key) DO UPDATE SET turns = excluded.turns"
        );
        database.sql(server::name_of(&url), &put);
    };
    ghost(0);
    assert_eq!(nodes[0].admit(&dead).await.err(), Some(OverLimit::Parallel(4)));
    ghost(60);
    until(async || nodes[0].admit(&dead).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_one_over_all_nodes() {
    let Some(url) = server::database() else { return };
    let nodes = nodes(&url, 3);
    until_all_count(&nodes).await;
    let limits = Limits { budget: Rate::of_money("1.00/day").ok(), ..Limits::default() };
    let made = make(&nodes[0], "anna", limits);
    let mut passed = 0;
    // One after the other, on another node each time: four cost a dollar.
    for number in 0..15 {
        if let Ok(mut turn) = nodes[number % 3].admit(&made).await {
            passed += 1;
            turn.spend(100, 250_000);
        }
    }
    assert!((4..=6).contains(&passed), "{passed}");
    for node in &nodes {
        until(async || node.admit(&made).await.err().is_some_and(OverLimit::lasts)).await;
    }
    for node in &nodes {
        node.keys.flush();
    }
    let used = nodes[0].store().used(&made.id).expect("read");
    let day = used.iter().find(|one| one.window.period == Period::Day).expect("today");
    assert_eq!((day.amounts.requests, day.amounts.micro_usd), (passed, passed * 250_000), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_each_node_has_its_share_and_nothing_is_lost() {
    let Some(database) = server::Postgres::start() else { return };
    database.sql("postgres", "CREATE DATABASE shared");
    let nodes = nodes(&database.url("shared"), 2);
    until_all_count(&nodes).await;
    let limits = Limits {
        requests: Rate::of_count("60/min").ok(),
        tokens: Rate::of_count("100k/day").ok(),
        ..Limits::default()
    };
    let made = make(&nodes[0], "anna", limits);
    for node in &nodes {
        assert!(node.admit(&made).await.is_ok());
    }
    database.stop();
    for node in &nodes {
        until(async || !node.is_global()).await;
    }
    let mut passed = 0;
    for _ in 0..60 {
        if let Ok(mut turn) = nodes[0].admit(&made).await {
            passed += 1;
            turn.spend(10, 0);
        }
    }
    assert!((27..=35).contains(&passed), "half of what was left: {passed}");
    assert!(nodes[1].admit(&made).await.is_ok(), "the other half");
    database.run();
    until_all_count(&nodes).await;
    for node in &nodes {
        node.keys.flush();
    }
    let used = nodes[1].store().used(&made.id).expect("read");
    let day = used.iter().find(|one| one.window.period == Period::Day).expect("today");
    assert_eq!((day.amounts.requests, day.amounts.tokens), (passed + 3, passed * 10), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_read_yet_is_no_unknown_key() {
    let port = server::free_port();
    let settings = crate::store::engine_tests::settings(&server::url_at(port, "nowhere"));
    let dir = tempfile::tempdir().expect("a directory");
    let store = PostgresStore::open(&settings, dir.path(), "alone", None).expect("opened");
    let keys = Keyring::shared(Box::new(move || Ok(Box::new(store.keys()))));
    let made = NewSecret::draw().expect("randomness");
    let found = keys.find([made.key.expose()].into_iter()).await;
    assert!(matches!(found, KeyLookup::Refused(KeyProblem::Unreadable)), "{found:?}");
}
