//! Which version of Antigravity the provider expects: it turns old ones away. Looked up in the background, kept for six hours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::endpoint_client::EndpointClient;
use crate::sync::lock;

/// Used until something newer is known. What is found and older is not the version: pages name others, too.
const MIN_VERSION: &str = "2.9.1";
/// How long a version is believed.
const VERSION_TTL: Duration = Duration::from_secs(6 * 3600);
/// How long a look may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a page is looked at.
const MAX_PAGE_LEN: usize = 5000;
/// Where the vendor publishes it.
const VERSION_URLS: [&str; 2] = [
    "https://antigravity-auto-updater-974169037036.us-central1.run.app",
    "https://antigravity.google/changelog",
];

/// The version in use.
#[derive(Debug)]
pub(super) struct Version {
    /// Set by a person: nothing is looked up.
    fixed: Option<String>,
    urls: Vec<String>,
    known: Mutex<DiscoveredVersion>,
}

#[derive(Debug, Default)]
struct DiscoveredVersion {
    version: Option<String>,
    /// When it was looked up, or a look began.
    fetched_at: Option<Instant>,
}

impl Version {
    pub(super) fn new(fixed: Option<String>, urls: Vec<String>) -> Self {
        let urls = if urls.is_empty() { VERSION_URLS.map(str::to_owned).to_vec() } else { urls };
        Self { fixed, urls, known: Mutex::default() }
    }

    /// What is known now.
    pub(super) fn current(&self) -> String {
        let known = lock(&self.known);
        self.fixed.clone().or_else(|| known.version.clone()).unwrap_or_else(|| MIN_VERSION.to_owned())
    }

    /// What is known now; looks for a newer one in the background when that is old.
    pub(super) fn refreshed(self: &Arc<Self>, client: &Arc<EndpointClient>) -> String {
        if self.fixed.is_none() && self.is_due() {
            let (version, client) = (Arc::clone(self), Arc::clone(client));
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { version.fetch(&client).await });
            }
        }
        self.current()
    }

    /// Looks now. True when there is another version than the one that was refused.
    pub(super) async fn discover(&self, client: &EndpointClient, refused: &str) -> bool {
        if self.fixed.is_none() && self.current() == refused {
            self.fetch(client).await;
        }
        self.current() != refused
    }

    /// Whether it is time for a look; one at a time.
    fn is_due(&self) -> bool {
        let mut known = lock(&self.known);
        let due = known.fetched_at.is_none_or(|fetched_at| fetched_at.elapsed() >= VERSION_TTL);
        if due {
            known.fetched_at = Some(clock::now());
        }
        due
    }

    async fn fetch(&self, client: &EndpointClient) {
        for url in &self.urls {
            let Ok((200, page)) = client.call(url, &Vec::new(), None, FETCH_TIMEOUT).await else { continue };
            let page = String::from_utf8_lossy(page.get(..MAX_PAGE_LEN).unwrap_or(&page)).into_owned();
            if let Some(version) = find_version(&page) {
                lock(&self.known).version = Some(version);
                return;
            }
        }
    }
}

/// The first three numbers with points between them that are a version of today.
fn find_version(page: &str) -> Option<String> {
    let words = page.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.'));
    let mut versions = words.filter_map(|word| Some((numbers(word)?, word)));
    versions.find(|(version, _)| numbers(MIN_VERSION) <= Some(*version)).map(|(_, word)| word.to_owned())
}

/// A version that can be compared. Years are none.
fn numbers(word: &str) -> Option<[u16; 3]> {
    let mut parts = word.split('.').map(|part| part.parse::<u16>().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    (parts.next().is_none() && version[0] < 1000).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_pages() {
        let cases = [
            ("version: 2.11.0\nfiles:", Some("2.11.0")),
            ("<h1>Changelog</h1> 2026.1 v3.0.12 (new)", Some("3.0.12")),
            ("1.2 3.4", None),
            ("1.2.3.4 then 5.6.7", Some("5.6.7")),
            ("released 2026.11.21: version 2.10.0.", Some("2.10.0")),
            ("needs glibc 2.3.1", None),
            ("99999.1.1", None),
            ("", None),
        ];
        for (page, want) in cases {
            assert_eq!(find_version(page).as_deref(), want, "{page}");
        }
    }
}
