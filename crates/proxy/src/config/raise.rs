//! The text of a configuration file to a [`Config`], or to every problem it has. Pure: the environment and the files it names
//! come in as functions.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle, ToolChoiceSupport};
use latimer_adapters::repair::Level;
use latimer_protocol::id::EndpointName;
use latimer_protocol::secret::Secret;
use toml::de::DeTable;

use super::check::Problem;
use super::presets::{self, Preset};
use super::read::{Notes, Table, Value};
use super::schema::{self, nearest};
use super::{Auth, Config, Endpoint, Model, Protocol, Server, Timeouts};

/// A configuration that can be used, and what its author should know.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Resolved.
    pub config: Config,
    /// Things that are likely not meant, but stop nothing.
    pub warnings: Vec<Problem>,
}

type Env<'e> = &'e dyn Fn(&str) -> Option<String>;
type ReadFile<'r> = &'r dyn Fn(&Path) -> io::Result<String>;

/// Raises the text. An empty text is a configuration without endpoints.
pub fn load(text: &str, env: Env<'_>, read_file: ReadFile<'_>) -> Result<Loaded, Vec<Problem>> {
    let mut notes = Notes::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.problem(
            error.span().unwrap_or(0..0),
            "",
            format!("not valid TOML: {}", error.message().replace('\n', ", ")),
        );
    }
    let root = Table::root(&table);
    root.only(&schema::TOP, &mut notes);
    let server =
        root.table("server", &mut notes).map_or_else(Server::default, |table| server(&table, &mut notes));
    let endpoints = endpoints(&root, env, read_file, &mut notes);
    let default_endpoint = default_endpoint(&root, &endpoints, &mut notes);
    let config = Config { server, default_endpoint, endpoints };
    if notes.problems.is_empty() {
        Ok(Loaded { config, warnings: notes.warnings })
    } else {
        Err(notes.problems)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4180)),
            auth: Auth::Token,
            hosts: Vec::new(),
            body_limit: 64 << 20,
            grace: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(300),
        }
    }
}

fn server(table: &Table<'_, '_>, notes: &mut Notes<'_>) -> Server {
    table.only(&schema::SERVER, notes);
    let default = Server::default();
    let listen = table.get("listen").and_then(|value| {
        let text = value.string(notes)?;
        text.parse().ok().or_else(|| {
            notes.problem(
                value.span.clone(),
                &value.path,
                "should be an address and a port, such as \"127.0.0.1:4180\"",
            );
            None
        })
    });
    let auth = table.word("auth", &[("token", Auth::Token), ("none", Auth::None)], notes);
    let server = Server {
        listen: listen.unwrap_or(default.listen),
        auth: auth.unwrap_or(default.auth),
        hosts: table
            .get("hosts")
            .map_or_else(Vec::new, |hosts| hosts.strings(notes).into_iter().map(|(_, host)| host).collect()),
        body_limit: table.size("body_limit", notes).unwrap_or(default.body_limit),
        grace: table.duration("grace", notes).unwrap_or(default.grace),
        keep_alive: table.duration("keep_alive", notes).unwrap_or(default.keep_alive),
    };
    if server.auth == Auth::None && !server.listen.ip().is_loopback() {
        let span = table.get("auth").map_or(table.span.clone(), |auth| auth.span);
        notes.problem(
            span,
            "server.auth",
            "\"none\" is only for a loopback address: others could use your keys; use \"token\"",
        );
    }
    if server.keep_alive > Duration::from_secs(60) {
        let span = table.get("keep_alive").map_or(table.span.clone(), |value| value.span);
        notes.problem(
            span,
            "server.keep_alive",
            "should be at most \"60s\": clients give up on a silent stream",
        );
    }
    server
}

fn endpoints(
    root: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut Notes<'_>,
) -> Vec<Endpoint> {
    let Some(list) = root.get("endpoint") else { return Vec::new() };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut names = HashSet::new();
    for value in list.list(notes) {
        let Some(table) = value.table(notes) else { continue };
        let Some(endpoint) = endpoint(&table, env, read_file, notes) else { continue };
        if !names.insert(endpoint.name.clone()) {
            let span = table.get("name").map_or(value.span.clone(), |name| name.span);
            notes.problem(
                span,
                &format!("{}.name", table.path),
                "another endpoint has this name already; names must differ",
            );
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn default_endpoint(
    root: &Table<'_, '_>,
    endpoints: &[Endpoint],
    notes: &mut Notes<'_>,
) -> Option<EndpointName> {
    let value = root.get("default_endpoint")?;
    let name = value.string(notes)?;
    if endpoints.iter().all(|endpoint| endpoint.name.as_str() != name) {
        let known: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let hint = match nearest(&name, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are: {}", known.join(", ")),
        };
        notes.problem(value.span.clone(), &value.path, format!("there is no endpoint of this name; {hint}"));
    }
    Some(EndpointName::from(name))
}

fn endpoint(
    table: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut Notes<'_>,
) -> Option<Endpoint> {
    table.only(&schema::ENDPOINT, notes);
    let name = endpoint_name(table, notes);
    let preset = preset(table, notes);
    let protocol = table.word("protocol", &[("chat", Protocol::Chat)], notes).unwrap_or(Protocol::Chat);
    let base_url = base_url(table, preset, notes);
    let keys = keys(table, preset, env, read_file, notes);
    let models = match (table.get("models"), preset) {
        (Some(models), _) => models.list(notes).iter().filter_map(|value| model(value, notes)).collect(),
        (None, Some(preset)) => preset.models.iter().map(|id| plain_model((*id).to_owned())).collect(),
        (None, None) => Vec::new(),
    };
    let timeouts =
        table.table("timeouts", notes).map_or_else(Timeouts::default, |table| timeouts(&table, notes));
    let mut quirks = preset.map_or(Quirks::DEFAULT, |preset| preset.quirks.clone());
    if let Some(table) = table.table("quirks", notes) {
        override_quirks(&mut quirks, &table, notes);
    }
    let retries = few("retries", 3, table, notes);
    let resume = few("resume", 2, table, notes);
    let endpoint = Endpoint {
        name: name?,
        preset: preset.map(|preset| preset.name),
        protocol,
        base_url: base_url?,
        keys,
        models,
        timeouts,
        retries,
        resume,
        repair: table
            .word("repair", &[("off", Level::Off), ("parse", Level::Parse), ("assist", Level::Assist)], notes)
            .unwrap_or_default(),
        quirks,
        headers: headers(table, notes),
        ca_file: table.string("ca_file", notes).map(PathBuf::from),
    };
    Some(endpoint)
}

/// A small number of times.
fn few(key: &str, default: u32, table: &Table<'_, '_>, notes: &mut Notes<'_>) -> u32 {
    const MOST: u64 = 10;
    let Some(number) = table.number(key, notes) else { return default };
    if number > MOST {
        notes.problem(table.span.clone(), &format!("{}.{key}", table.path), "should be at most 10");
    }
    u32::try_from(number.min(MOST)).unwrap_or(default)
}

fn endpoint_name(table: &Table<'_, '_>, notes: &mut Notes<'_>) -> Option<EndpointName> {
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

fn preset(table: &Table<'_, '_>, notes: &mut Notes<'_>) -> Option<&'static Preset> {
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

fn base_url(table: &Table<'_, '_>, preset: Option<&'static Preset>, notes: &mut Notes<'_>) -> Option<String> {
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
    let mut url = text.trim().trim_end_matches('/');
    for suffix in ["/chat/completions", "/responses", "/messages"] {
        url = url.strip_suffix(suffix).unwrap_or(url).trim_end_matches('/');
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

/// The key pool, from all three sources, in the order of the file. Without any, the preset's usual variable is looked at.
fn keys(
    table: &Table<'_, '_>,
    preset: Option<&'static Preset>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut Notes<'_>,
) -> Vec<Secret> {
    let mut keys = Vec::new();
    let mut given = false;
    let mut add = |text: &str| {
        // A pool may be written as one comma-separated text.
        keys.extend(text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(Secret::new));
    };
    if let Some(value) = table.get("api_key") {
        given = true;
        value.strings(notes).iter().for_each(|(_, key)| add(key));
    }
    if let Some(value) = table.get("api_key_env") {
        given = true;
        for (span, name) in value.strings(notes) {
            match env(&name) {
                Some(text) => add(&text),
                None => notes.warning(
                    span,
                    &value.path,
                    format!("the environment variable `{name}` is not set; requests will carry no key"),
                ),
            }
        }
    }
    if let Some(value) = table.get("api_key_file") {
        given = true;
        for (span, path) in value.strings(notes) {
            match read_file(Path::new(&path)) {
                Ok(text) => text.lines().for_each(&mut add),
                Err(error) => notes.warning(
                    span,
                    &value.path,
                    format!("`{path}` cannot be read ({}); requests will carry no key", error.kind()),
                ),
            }
        }
    }
    if let (false, Some(text)) = (given, preset.and_then(|preset| preset.key_env).and_then(env)) {
        add(&text);
    }
    keys
}

fn plain_model(id: String) -> Model {
    Model { id, context_window: None, reasoning: None, images: None }
}

fn model(value: &Value<'_, '_>, notes: &mut Notes<'_>) -> Option<Model> {
    if value.is_string() {
        return value.string(notes).map(plain_model);
    }
    let table = value.table(notes)?;
    table.only(&schema::MODEL, notes);
    let id = table.string("id", notes);
    if table.get("id").is_none() {
        notes.problem(
            value.span.clone(),
            &format!("{}.id", value.path),
            "is missing; write { id = \"…\" } or just the name",
        );
    }
    Some(Model {
        id: id?,
        context_window: table.number("context_window", notes),
        reasoning: table.boolean("reasoning", notes),
        images: table.boolean("images", notes),
    })
}

fn timeouts(table: &Table<'_, '_>, notes: &mut Notes<'_>) -> Timeouts {
    table.only(&schema::TIMEOUTS, notes);
    let default = Timeouts::default();
    Timeouts {
        connect: table.duration("connect", notes).unwrap_or(default.connect),
        first_byte: table.duration("first_byte", notes).unwrap_or(default.first_byte),
        idle: table.duration("idle", notes).unwrap_or(default.idle),
    }
}

fn headers(table: &Table<'_, '_>, notes: &mut Notes<'_>) -> Vec<(String, String)> {
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

fn override_quirks(quirks: &mut Quirks, table: &Table<'_, '_>, notes: &mut Notes<'_>) {
    const REASONING: [(&str, ReasoningStyle); 7] = [
        ("none", ReasoningStyle::None),
        ("effort", ReasoningStyle::Effort),
        ("thinking", ReasoningStyle::ThinkingObject),
        ("thinking_and_effort", ReasoningStyle::ThinkingAndEffort),
        ("enable_thinking", ReasoningStyle::EnableThinking),
        ("chat_template", ReasoningStyle::ChatTemplate),
        ("openrouter", ReasoningStyle::OpenRouter),
    ];
    const ECHO: [(&str, Echo); 4] = [
        ("never", Echo::Never),
        ("with_calls", Echo::WithCalls),
        ("always", Echo::Always),
        ("details", Echo::Details),
    ];
    table.only(&schema::QUIRKS, notes);
    if let Some(style) = table.word("reasoning", &REASONING, notes) {
        quirks.reasoning = style;
    }
    if let Some(echo) = table.word("echo_reasoning", &ECHO, notes) {
        quirks.echo = echo;
    }
    if let Some(full) = table.boolean("tool_choice", notes) {
        quirks.tool_choice = if full { ToolChoiceSupport::Full } else { ToolChoiceSupport::AutoOnly };
    }
    let switches: [(&str, &mut bool); 12] = [
        ("max_completion_tokens", &mut quirks.max_completion_tokens),
        ("developer_role", &mut quirks.developer_role),
        ("single_system", &mut quirks.single_system),
        ("null_content", &mut quirks.null_content),
        ("stream_options", &mut quirks.stream_options),
        ("tools", &mut quirks.tools),
        ("parallel_tool_calls", &mut quirks.parallel_tool_calls),
        ("sampling", &mut quirks.sampling),
        ("nine_character_call_ids", &mut quirks.nine_character_call_ids),
        ("json_schema", &mut quirks.json_schema),
        ("prompt_cache_key", &mut quirks.prompt_cache_key),
        ("tool_images", &mut quirks.tool_images),
    ];
    for (name, switch) in switches {
        if let Some(on) = table.boolean(name, notes) {
            *switch = on;
        }
    }
}
