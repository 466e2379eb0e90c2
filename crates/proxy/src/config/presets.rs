//! The providers latimer knows by name. A provider is a row: its differences are data, never code.
//!
//! Addresses and models age; the file overrides any of it.

mod known;
mod table;

use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::repair::RepairLevel;
use latimer_adapters::responses::profile::Profile;

use super::{History, Login, Protocol};

pub use known::{KnownModel, KnownModels};
pub use table::PRESETS;

/// One provider.
#[derive(Debug, Clone)]
pub struct Preset {
    /// As written in the file.
    pub name: &'static str,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is, without the path of a method.
    pub base_url: &'static str,
    /// The variable its key usually stands in; `None` for servers that take none.
    pub key_env: Option<&'static str>,
    /// The accounts it can be used with.
    pub login: Option<Login>,
    /// Models to begin with.
    pub models: &'static [&'static str],
    /// What it does differently, where it speaks Chat Completions.
    pub quirks: Quirks,
    /// What it takes, where it speaks Responses.
    pub profile: Profile,
    /// How much is made of what its models write instead of calls.
    pub repair: RepairLevel,
    /// Hosts in the order in which they are tried; none for `base_url` alone.
    pub hosts: &'static [&'static str],
    /// How much of a history it is given.
    pub history: History,
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    static TABLE: [Preset; PRESETS.len()] = PRESETS;
    TABLE.iter().find(|preset| preset.name == name)
}

/// The preset whose key usually stands in this variable, where this address is none of any preset that shares the variable: a key of one
/// provider would go to another one.
pub fn owner_elsewhere(variable: &str, url: &str) -> Option<&'static str> {
    let sharing = || names().into_iter().filter_map(find).filter(|preset| preset.key_env == Some(variable));
    let owner = sharing().next()?;
    let is_own = sharing().any(|preset| host(preset.base_url) == host(url));
    (!is_own).then_some(owner.name)
}

/// The host of an address, in small letters, without user name and port.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

/// All names, in the order of the table.
pub fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::load;

    #[test]
    fn a_key_of_one_provider_goes_to_no_other_one() {
        let of = |url: &str| owner_elsewhere("DEEPSEEK_API_KEY", url);
        assert_eq!(of("https://API.deepseek.com/v1"), None);
        for url in [
            "https://thief.test",
            "https://api.deepseek.com@thief.test",
            "https://api.deepseek.com.thief.test/",
            "http://127.0.0.1:1",
        ] {
            assert_eq!(of(url), Some("deepseek"), "{url}");
        }
        assert_eq!(owner_elsewhere("MY_OWN_KEY", "https://thief.test"), None);
    }

    #[test]
    fn every_row_makes_an_endpoint() {
        for preset in &PRESETS {
            assert_eq!(
                PRESETS.iter().filter(|other| other.name == preset.name).count(),
                1,
                "{}",
                preset.name
            );
            let text = format!("[[endpoint]]\nname = \"x\"\npreset = \"{}\"\n", preset.name);
            let env = |name: &str| (Some(name) == preset.key_env).then(|| "key".to_owned());
            let loaded = load(&text, &env, &|_| Err(std::io::ErrorKind::NotFound.into())).expect(preset.name);
            let endpoint = loaded.config.endpoints.first().expect("one endpoint");
            assert_eq!(endpoint.base_url, preset.base_url);
            assert_eq!(endpoint.keys.len(), usize::from(preset.key_env.is_some()), "{}", preset.name);
            assert_eq!(endpoint.protocol, preset.protocol);
            let is_remote = preset.key_env.is_some() || preset.login.is_some();
            assert_eq!(preset.base_url.starts_with("https://"), is_remote, "{}", preset.name);
            if let Some(extra) = preset.quirks.extra_body {
                serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(extra).expect(preset.name);
            }
        }
    }
}
