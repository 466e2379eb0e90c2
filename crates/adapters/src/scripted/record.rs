//! What a scripted provider was asked.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::sync::lock;

/// Requests kept; a soak must not grow.
const MAX_RECORDED: usize = 10_000;

/// What the provider was sent, for a test to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The request target, with its query.
    pub path: String,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; `Null` when it is no JSON.
    pub body: Value,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// When it had arrived, since the start of the provider.
    pub received_at: Duration,
}

impl RecordedRequest {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// Counters and the requests, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct Log {
    requests: Mutex<VecDeque<RecordedRequest>>,
    pub(super) request_count: AtomicUsize,
    pub(super) ordered: AtomicUsize,
    pub(super) disconnects: AtomicUsize,
    pub(super) connections: AtomicUsize,
    pub(super) open: AtomicUsize,
}

impl Log {
    pub(super) fn keep(&self, recorded: RecordedRequest) {
        let mut requests = lock(&self.requests);
        if requests.len() == MAX_RECORDED {
            requests.pop_front();
        }
        requests.push_back(recorded);
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).iter().cloned().collect()
    }

    pub(super) fn add(counter: &AtomicUsize) -> usize {
        counter.fetch_add(1, Ordering::Relaxed)
    }
}
