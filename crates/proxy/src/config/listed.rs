//! What providers listed when they were asked for their models: one file in the state directory, so that nobody asks each time. Names are
//! remembered with the time at which they were listed; whoever shows them says how old they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use latimer_adapters::model_list::ProviderModel;
use serde::{Deserialize, Serialize};

use super::Endpoint;

/// The file in the state directory.
const FILE: &str = "provider-models.json";
/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Endpoints whose lists are kept; the oldest leaves.
const MAX_LISTS: usize = 64;
/// For how long a list is used without asking again.
pub const FRESH: Duration = Duration::from_secs(3600);

/// The list of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListedModels {
    /// Where it was asked for: another address has another list.
    pub base_url: String,
    /// When, in Unix seconds.
    pub fetched_at: u64,
    /// What was listed.
    pub models: Vec<ProviderModel>,
}

impl ListedModels {
    /// How long ago it was asked for, in seconds.
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.fetched_at)
    }

    /// Whether it can stand for a new one.
    pub fn is_fresh(&self, now: u64) -> bool {
        self.age(now) < FRESH.as_secs()
    }
}

/// The lists of all endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AllListed {
    lists: BTreeMap<String, ListedModels>,
}

impl AllListed {
    /// What is in the file of this state directory; nothing where there is none, or it cannot be read.
    pub fn read(state_dir: &Path) -> Self {
        let bytes = latimer_files::read(&state_dir.join(FILE), MAX_FILE_BYTES).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The list of an endpoint, as long as it is where it was.
    pub fn of(&self, endpoint: &Endpoint) -> Option<&ListedModels> {
        self.lists.get(endpoint.name.as_str()).filter(|list| list.base_url == endpoint.base_url)
    }

    /// Remembers what an endpoint listed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember(
        state_dir: &Path,
        endpoint: &Endpoint,
        models: &[ProviderModel],
        now: u64,
    ) -> std::io::Result<()> {
        let mut all = Self::read(state_dir);
        let list =
            ListedModels { base_url: endpoint.base_url.clone(), fetched_at: now, models: models.to_vec() };
        all.lists.insert(endpoint.name.to_string(), list);
        while all.lists.len() > MAX_LISTS {
            let oldest = all.lists.iter().min_by_key(|(_, list)| list.fetched_at);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            all.lists.remove(&oldest);
        }
        latimer_files::write(&state_dir.join(FILE), &serde_json::to_vec(&all).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::tests::endpoint;

    #[test]
    fn a_list_is_kept_for_its_address_and_grows_old() {
        let dir = tempfile::tempdir().expect("a directory");
        let lab = endpoint("base_url = \"https://a.test/v1\"");
        assert_eq!(AllListed::read(dir.path()).of(&lab), None);
        let glm =
            ProviderModel { id: "glm-5".to_owned(), context_window: Some(9), ..ProviderModel::default() };
        AllListed::remember(dir.path(), &lab, std::slice::from_ref(&glm), 1000).expect("written");
        let all = AllListed::read(dir.path());
        let list = all.of(&lab).expect("kept");
        assert_eq!((list.models.as_slice(), list.age(1060)), ([glm].as_slice(), 60));
        assert!(list.is_fresh(1060) && !list.is_fresh(1000 + FRESH.as_secs()));
        assert_eq!(all.of(&endpoint("base_url = \"https://b.test/v1\"")), None, "it moved");
        std::fs::write(dir.path().join(FILE), "{").expect("written");
        assert_eq!(AllListed::read(dir.path()), AllListed::default(), "asked for again");
    }

    #[test]
    fn the_oldest_list_leaves() {
        let dir = tempfile::tempdir().expect("a directory");
        for number in 0..=MAX_LISTS {
            let mut endpoint = endpoint("base_url = \"https://a.test/v1\"");
            endpoint.name = format!("e{number}").as_str().into();
            AllListed::remember(dir.path(), &endpoint, &[], 1000 + number as u64).expect("written");
        }
        let all = AllListed::read(dir.path());
        assert!(all.lists.len() == MAX_LISTS && !all.lists.contains_key("e0"));
    }
}
