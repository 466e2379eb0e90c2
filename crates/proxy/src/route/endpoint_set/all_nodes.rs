//! The requests that an endpoint takes in a minute, over all nodes.

use std::time::Duration;

use super::EndpointRuntime;
use crate::store::postgres::limits::SharedBucket;
use crate::sync::lock;

impl EndpointRuntime {
    /// Whether other nodes take from the same minute.
    pub fn shares_limit(&self) -> bool {
        self.bucket.is_some() && self.memory.nodes().is_some()
    }

    /// The same over all nodes: how long to wait for what this node took; `None` where there are no others, or nobody knows in time.
    pub async fn wait_of_all_nodes(&self) -> Option<Duration> {
        let (nodes, bucket) = (self.memory.nodes()?, self.shared_bucket()?);
        nodes.take(&bucket, 1.0).await
    }

    /// Gives a request of the minute's back that was not sent.
    pub fn give_token_back(&self) {
        if let Some(bucket) = &self.bucket {
            lock(bucket).give_back();
        }
        if let (Some(nodes), Some(bucket)) = (self.memory.nodes(), self.shared_bucket()) {
            nodes.give_back(&bucket, 1.0);
        }
    }

    /// The bucket of this endpoint's minute, from which all nodes take.
    fn shared_bucket(&self) -> Option<SharedBucket> {
        let (capacity, per_second) = lock(self.bucket.as_ref()?).limits();
        Some(SharedBucket { name: format!("endpoint/{}", self.endpoint.name), capacity, per_second })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock;
    use crate::config::parse::config_of;
    use crate::route::endpoint_set::EndpointSet;
    use crate::route::memory::Memory;

    #[tokio::test]
    async fn without_other_nodes_this_one_counts_alone() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nrequests_per_minute = 6\n";
        let set = EndpointSet::new(Arc::new(config_of(text)), Arc::new(Memory::new(None)), None, None);
        let runtime = &set.endpoints()[0];
        assert!(!runtime.shares_limit());
        assert_eq!(runtime.wait_of_all_nodes().await, None);
        let now = clock::now();
        assert!(runtime.take_token(now).is_zero());
        runtime.give_token_back();
        assert!(runtime.take_token(now).is_zero(), "what was given back can be taken");
    }
}
