//! One `[[endpoint]]` to an [`Endpoint`].

use std::path::PathBuf;
use std::time::Duration;

use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::repair::RepairLevel;
use latimer_adapters::responses::profile::Profile;
use latimer_adapters::transport::outbound::Outbound;
use latimer_protocol::id::EndpointName;
use latimer_protocol::secret::{Secret, names_a_credential};

use super::credentials::{self, KeyPool};
use super::profiles::REPAIR_LEVELS;
use super::{Env, ReadFile, agent, model, options, outbound, quirks};
use crate::config::base_url;
use crate::config::presets::{self, Preset};
use crate::config::read::{ProblemCollector, Table, Value};
use crate::config::schema::{self, nearest};
use crate::config::{Endpoint, Login, Protocol, Timeouts};

/// The most that a turn is tried again, and that an answer is continued.
const MAX_TIMES: u32 = 10;
/// How many times the silence a provider may go without content, where nothing else is said.
const CONTENT_TIMES_IDLE: u32 = 4;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(300),
            content: Duration::from_secs(300) * CONTENT_TIMES_IDLE,
        }
    }
}

pub(super) fn parse(
    table: &Table<'_, '_>,
    usual: &Outbound,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Option<Endpoint> {
    table.only(&schema::ENDPOINT, notes);
    let name = endpoint_name(table, notes);
    let preset = preset(table, notes);
    let of_address = || table.get("base_url").and_then(|value| protocol_of(&value));
    let protocol = table
        .word("protocol", &Protocol::NAMES, notes)
        .or(preset.map(|preset| preset.protocol))
        .or_else(of_address)
        .unwrap_or(Protocol::Chat);
    let agent = agent::settings(table, protocol, env, read_file, notes);
    let base_url = if agent.is_some() { Some(String::new()) } else { address(table, preset, notes) };
    let login = login(table, preset, notes);
    let KeyPool { keys, missing } = credentials::keys(table, preset, login, env, read_file, notes);
    let models = match (table.get("models"), preset) {
        (Some(models), _) => {
            models.list(notes).iter().filter_map(|value| model::model(value, preset, notes)).collect()
        }
        (None, Some(preset)) => {
            preset.models.iter().map(|id| model::known_model(Some(preset), (*id).to_owned())).collect()
        }
        (None, None) => Vec::new(),
    };
    let timeouts =
        table.table("timeouts", notes).map_or_else(Timeouts::default, |table| timeouts(&table, notes));
    let mut quirks = preset.map_or(Quirks::DEFAULT, |preset| preset.quirks.clone());
    if let Some(table) = table.table("quirks", notes) {
        quirks::override_by(&mut quirks, &table, notes);
    }
    let retries =
        table.number_in("retries", 0..=MAX_TIMES, notes).unwrap_or(if agent.is_some() { 1 } else { 3 });
    let resume = table.number_in("resume", 0..=MAX_TIMES, notes).unwrap_or(2);
    let headers = headers(table, notes);
    let endpoint = Endpoint {
        preset: preset.map(|preset| preset.name),
        protocol,
        keys,
        missing_keys: missing,
        is_enabled: table.boolean("enabled", notes).unwrap_or(true),
        models,
        timeouts,
        retries,
        resume,
        repair: table.word("repair", &REPAIR_LEVELS, notes).unwrap_or_else(|| usual_repair(preset, protocol)),
        quirks,
        login,
        profile: preset.map_or(Profile::PLAIN, |preset| preset.profile.clone()),
        options: options::options(table, preset, notes),
        history: options::history(table, preset, notes),
        // With none at all no turn would ever be sent.
        max_parallel: table.number_in("max_parallel", 1..=u32::MAX, notes),
        requests_per_minute: table.number_in("requests_per_minute", 1..=u32::MAX, notes),
        header_secrets: header_secrets(&headers),
        headers,
        ca_file: table.string("ca_file", notes).map(PathBuf::from),
        outbound: outbound::of_endpoint(table, usual, notes),
        agent,
        // At last: whatever else is wrong was found by now.
        name: name?,
        base_url: base_url?,
    };
    Some(endpoint)
}

/// The accounts an endpoint uses: those of this login, where it has any keys beside them these come first.
fn login(
    table: &Table<'_, '_>,
    preset: Option<&'static Preset>,
    notes: &mut ProblemCollector<'_>,
) -> Option<Login> {
    let words: Vec<(&str, Option<Login>)> =
        Login::ALL.iter().map(|login| (login.name(), Some(*login))).chain([("none", None)]).collect();
    match table.word("login", &words, notes) {
        Some(login) => login,
        None => preset.and_then(|preset| preset.login),
    }
}

/// Servers that speak the client's own protocol are passed through unless somebody asks for repair.
fn usual_repair(preset: Option<&'static Preset>, protocol: Protocol) -> RepairLevel {
    match (preset, protocol) {
        (Some(preset), _) => preset.repair,
        (None, Protocol::Responses) => RepairLevel::WhereTranslated,
        // An agent has made its calls itself: what it writes is text.
        (None, Protocol::Agent(_)) => RepairLevel::Off,
        (None, _) => RepairLevel::default(),
    }
}

fn endpoint_name(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<EndpointName> {
    let Some(value) = table.get("name") else {
        notes.problem(
            table.span.clone(),
            &format!("{}.name", table.path),
            "is missing; every endpoint needs a name",
        );
        return None;
    };
    let name = value.string(notes)?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        notes.problem(value.span.clone(), &value.path, "should hold letters, digits, `.`, `_` and `-` only");
        return None;
    }
    Some(EndpointName::from(name))
}

fn preset(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<&'static Preset> {
    let value = table.get("preset")?;
    let name = value.string(notes)?;
    let found = presets::find(&name);
    if found.is_none() {
        let hint = match nearest(&name, presets::PRESETS.iter().map(|preset| preset.name)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are: {}", presets::names().join(", ")),
        };
        notes.problem(value.span.clone(), &value.path, format!("there is no preset of this name; {hint}"));
    }
    found
}

/// What an address says that is spoken there; nothing where it cannot be read, which is told elsewhere.
fn protocol_of(value: &Value<'_, '_>) -> Option<Protocol> {
    base_url::mended(value.text()?).protocol
}

fn address(
    table: &Table<'_, '_>,
    preset: Option<&'static Preset>,
    notes: &mut ProblemCollector<'_>,
) -> Option<String> {
    let Some(value) = table.get("base_url") else {
        if preset.is_none() && table.get("preset").is_none() {
            notes.problem(
                table.span.clone(),
                &format!("{}.base_url", table.path),
                "is missing; give base_url, or a preset that has one",
            );
        }
        return preset.map(|preset| preset.base_url.to_owned());
    };
    let text = value.string(notes)?;
    let pasted = base_url::mended(&text);
    let url = pasted.url;
    if let Some(cut) = pasted.cut {
        let is_said = preset.is_some() || table.get("protocol").is_some();
        let protocol = pasted.protocol.filter(|protocol| !is_said && *protocol != Protocol::Chat);
        let protocol =
            protocol.map_or_else(String::new, |protocol| format!(" with protocol = \"{}\"", protocol.name()));
        notes.warning(
            value.span.clone(),
            &value.path,
            format!("should end before `{cut}`, which latimer adds itself; it is read as `{url}`{protocol}"),
        );
    }
    if url.ends_with("/v1/v1") {
        notes.warning(value.span.clone(), &value.path, "ends with `/v1` twice; once is likely meant");
    }
    let uri: Option<hyper::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).map(|host| host.trim_matches(['[', ']']).to_owned());
    let scheme = uri.as_ref().and_then(|uri| uri.scheme_str());
    let allow_http = table.boolean("allow_http", notes).unwrap_or(false);
    let loopback = host.as_deref().is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    let message = match (scheme, &uri) {
        (Some("https"), Some(_)) => None,
        (Some("http"), Some(_)) if loopback || allow_http => None,
        (Some("http"), Some(_)) => Some(
            "would send your key unencrypted; use https, or set allow_http = true if that network is yours",
        ),
        _ => Some("should be a URL that begins with https://, such as \"https://api.deepseek.com/v1\""),
    };
    let message = match message {
        None if uri
            .as_ref()
            .and_then(|uri| uri.authority())
            .is_some_and(|authority| authority.as_str().contains('@')) =>
        {
            Some("should hold no user name or password; use api_key_env")
        }
        None if url.contains('?') => Some("should hold no query; use headers and api_key_env"),
        other => other,
    };
    match message {
        Some(message) => {
            notes.problem(value.span.clone(), &value.path, message);
            None
        }
        None => Some(url.to_owned()),
    }
}

fn timeouts(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Timeouts {
    table.only(&schema::TIMEOUTS, notes);
    let default = Timeouts::default();
    let idle = table.duration("idle", notes).unwrap_or(default.idle);
    Timeouts {
        connect: table.duration("connect", notes).unwrap_or(default.connect),
        first_byte: table.duration("first_byte", notes).unwrap_or(default.first_byte),
        idle,
        content: table.duration("content", notes).unwrap_or_else(|| idle.saturating_mul(CONTENT_TIMES_IDLE)),
    }
}

fn header_secrets(headers: &[(String, String)]) -> Vec<Secret> {
    let is_secret = |(name, _): &&(String, String)| names_a_credential(name);
    headers.iter().filter(is_secret).map(|(_, value)| Secret::new(value)).collect()
}

fn headers(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Vec<(String, String)> {
    let Some(table) = table.table("headers", notes) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, value) in table.entries() {
        let Some(text) = value.string(notes) else { continue };
        let fits = hyper::header::HeaderName::try_from(name).is_ok()
            && hyper::header::HeaderValue::try_from(&text).is_ok();
        if !fits {
            notes.problem(
                value.span.clone(),
                &value.path,
                "should be a header name and a value without line breaks",
            );
        } else if ["authorization", "content-length", "host", "transfer-encoding"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            notes.problem(
                value.span.clone(),
                &value.path,
                "is set by latimer itself; a key goes into api_key_env",
            );
        } else {
            headers.push((name.to_owned(), text));
        }
    }
    headers
}

#[cfg(test)]
mod tests;
