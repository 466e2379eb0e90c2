//! What a connection remembers: its own responses, so that the next request can go on with one although nothing is stored. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

/// Responses that are remembered. A client goes on with the last one, or with one before it when it changed its mind.
const MAX_RESPONSES: usize = 8;

/// The newest answers of one connection, each with everything before it. Gone with the connection.
#[derive(Debug)]
pub struct ConnectionHistory {
    limit: usize,
    answers: VecDeque<(String, Bytes)>,
}

impl ConnectionHistory {
    /// An empty memory that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, answers: VecDeque::new() }
    }

    /// Keeps the items of a conversation, a JSON array, under the name of its last answer. What is larger than the memory is
    /// not kept: the client will be told to send it again.
    pub fn keep(&mut self, id: &str, items: Bytes) {
        self.forget(id);
        if items.len() > self.limit {
            return;
        }
        self.answers.push_back((id.to_owned(), items));
        while self.answers.len() > MAX_RESPONSES || self.bytes() > self.limit {
            self.answers.pop_front();
        }
    }

    /// The items that an answer ended.
    pub fn find(&self, id: &str) -> Option<Bytes> {
        self.answers.iter().find(|(known, _)| known == id).map(|(_, items)| items.clone())
    }

    /// Drops an answer: going on with it failed.
    pub fn forget(&mut self, id: &str) {
        self.answers.retain(|(known, _)| known != id);
    }

    fn bytes(&self) -> usize {
        self.answers.iter().map(|(_, items)| items.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_within_bounds() {
        let mut history = ConnectionHistory::new(100);
        for number in 0..=MAX_RESPONSES {
            history.keep(&number.to_string(), Bytes::from_static(b"[]"));
        }
        assert!(history.find("0").is_none() && history.find("1").is_some());
        history.keep("large", Bytes::from(vec![b' '; 99]));
        assert_eq!(history.answers.len(), 1, "the newest stays, the others make room");
        history.keep("too large", Bytes::from(vec![b' '; 101]));
        assert!(history.find("too large").is_none() && history.find("large").is_some());
        history.forget("large");
        assert!(history.find("large").is_none());
    }
}
