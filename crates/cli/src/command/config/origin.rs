//! Every setting as it holds, and who says so. A flag goes before the environment, that before the file, and that before a preset and the
//! default.

use std::fmt;
use std::ops::Range;

use latimer_adapters::repair::RepairLevel;
use latimer_proxy::config::schema::{self, Key};
use latimer_proxy::config::{Config, Endpoint, presets};
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config_key::{KeyPath, PathStep, is_list, tables_below};
use crate::configuration::{Namer, PathArgs, read_text};
use crate::environment::env;

/// The variables that name the way out of the network, in the order in which they count.
const OUTBOUND_VARIABLES: [&str; 6] =
    ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// What stands in the place of a secret.
const STARS: &str = "\"***\"";

/// Who says what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A flag of this command line.
    Flag(&'static str),
    /// A variable.
    Environment(String),
    /// The file, in this line, from 1.
    File(usize),
    /// The preset of this name.
    Preset(&'static str),
    /// Nobody: what holds without being said.
    Default,
}

impl Origin {
    /// Who names the configuration file.
    pub(super) fn of_config(paths: &PathArgs) -> Self {
        Self::named(paths.config_namer(), "--config", "LATIMER_CONFIG")
    }

    fn named(namer: Namer, flag: &'static str, variable: &str) -> Self {
        match namer {
            Namer::Flag => Self::Flag(flag),
            Namer::Variable => Self::Environment(variable.to_owned()),
            Namer::Nobody => Self::Default,
        }
    }

    /// For machines.
    pub(super) fn document(&self) -> Json {
        match self {
            Self::Flag(name) => json!({ "kind": "flag", "name": name }),
            Self::Environment(name) => json!({ "kind": "environment", "name": name }),
            Self::File(line) => json!({ "kind": "file", "line": line }),
            Self::Preset(name) => json!({ "kind": "preset", "name": name }),
            Self::Default => json!({ "kind": "default" }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its path, entries of lists by their names.
    pub(super) key: String,
    /// The same by their places.
    by_place: String,
    /// As TOML.
    pub(super) value: String,
    pub(super) origin: Origin,
}

impl Setting {
    /// Whether it goes by this path.
    pub(super) fn is_called(&self, path: &str) -> bool {
        self.key == path || self.by_place == path
    }

    /// The value; a text without its quotes.
    pub(super) fn bare_value(&self) -> &str {
        let bare = self.value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        bare.filter(|bare| !bare.contains(['\\', '"'])).unwrap_or(&self.value)
    }

    /// For machines.
    pub(super) fn document(&self) -> Json {
        let value = format!("v = {}", self.value).parse::<toml::Table>().ok();
        let value = value.and_then(|mut table| table.remove("v"));
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        json!({ "key": self.key, "value": value, "origin": self.origin.document() })
    }
}

/// Every setting that holds.
///
/// # Errors
/// The configuration cannot be used.
pub(super) fn settings(paths: &PathArgs) -> anyhow::Result<Vec<Setting>> {
    let configuration = paths.configuration()?;
    let text = configuration.path.as_deref().map(read_text).transpose()?.unwrap_or_default();
    let mut rows = vec![
        ours("config", &paths.config_target()?.to_string_lossy(), Origin::of_config(paths)),
        ours(
            "state_dir",
            &paths.state_dir()?.to_string_lossy(),
            Origin::named(paths.state_dir_namer(), "--state-dir", "LATIMER_STATE_DIR"),
        ),
    ];
    rows.extend(of_text(&text, &configuration.loaded.config));
    Ok(rows)
}

fn ours(key: &str, value: &str, origin: Origin) -> Setting {
    Setting { key: key.to_owned(), by_place: key.to_owned(), value: quoted(value), origin }
}

fn of_text(text: &str, config: &Config) -> Vec<Setting> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut walk = Walk { text, config, rows: Vec::new() };
    walk.table(table.get_ref(), &schema::TOP, &Place::default(), None);
    walk.rows
}

/// Where a walk is: the path by names, and by places.
#[derive(Debug, Clone, Default)]
struct Place {
    name: String,
    by_place: String,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let step = KeyPath { steps: vec![PathStep::Name(key.to_owned())] }.to_string();
        let join = |path: &str| if path.is_empty() { step.clone() } else { format!("{path}.{step}") };
        Self { name: join(&self.name), by_place: join(&self.by_place) }
    }

    fn entry(&self, place: usize, name: Option<&str>) -> Self {
        let by_place = format!("{}[{place}]", self.by_place);
        let name = name.map_or_else(|| format!("{}[{place}]", self.name), |name| self.key(name).name);
        Self { name, by_place }
    }
}

struct Walk<'t> {
    text: &'t str,
    config: &'t Config,
    rows: Vec<Setting>,
}

impl Walk<'_> {
    /// The keys that a table may have, in the order of the schema: those of the file, then what holds without them.
    fn table(&mut self, table: &DeTable<'_>, keys: &'static [Key], at: &Place, endpoint: Option<&Endpoint>) {
        for key in keys {
            let place = at.key(key.name);
            match table.get(key.name) {
                Some(value) => self.known(key, value, &place),
                None => self.missing(key, table, &place, endpoint),
            }
        }
    }

    fn known(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>, at: &Place) {
        match (value.get_ref(), tables_below(key)) {
            (DeValue::Table(table), _) if matches!(key.name, "watchdog" | "headers") => self.free(table, at),
            (DeValue::Array(items), Some(keys)) if is_list(key) => {
                if matches!(key.name, "models" | "targets") {
                    let names: Vec<String> = items.iter().filter_map(name_of).map(quoted).collect();
                    self.push(at, format!("[{}]", names.join(", ")), value.span());
                }
                for (place, item) in items.iter().enumerate() {
                    let DeValue::Table(table) = item.get_ref() else { continue };
                    let entry = at.entry(place, name_of(item));
                    let endpoint = (key.name == "endpoint").then(|| self.endpoint(name_of(item))).flatten();
                    self.table(table, keys, &entry, endpoint.as_ref());
                }
            }
            (DeValue::Table(table), Some(keys)) => self.table(table, keys, at, None),
            _ => self.push(at, self.literal(key.name, value.span()), value.span()),
        }
    }

    /// Keys that no table lists.
    fn free(&mut self, table: &DeTable<'_>, at: &Place) {
        for (name, value) in table {
            let name: &str = name.get_ref();
            let place = at.key(name);
            match value.get_ref() {
                DeValue::Table(table) => self.free(table, &place),
                _ => self.push(&place, self.literal(name, value.span()), value.span()),
            }
        }
    }

    fn missing(&mut self, key: &'static Key, table: &DeTable<'_>, at: &Place, endpoint: Option<&Endpoint>) {
        if matches!(key.name, "server" | "timeouts")
            && let Some(keys) = tables_below(key)
        {
            return self.table(&DeTable::new(), keys, at, None);
        }
        let found = match (key.name, endpoint) {
            ("proxy", None) => of_network(),
            (name, Some(endpoint)) => of_endpoint(name, table, endpoint),
            _ => None,
        };
        let default = (!key.default.is_empty()).then(|| (default_of(key), Origin::Default));
        if let Some((value, origin)) = found.or(default) {
            let Place { name, by_place } = at.clone();
            self.rows.push(Setting { key: name, by_place, value, origin });
        }
    }

    fn push(&mut self, at: &Place, value: String, span: Range<usize>) {
        let line = self.text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
        let Place { name, by_place } = at.clone();
        self.rows.push(Setting { key: name, by_place, value, origin: Origin::File(line) });
    }

    /// A value as it is written, on one line, or stars for a secret.
    fn literal(&self, key: &str, span: Range<usize>) -> String {
        let literal = self.text.get(span).unwrap_or_default();
        let is_url = matches!(key, "proxy" | "url" | "base_url") && literal.contains('@');
        let is_secret = key == "api_key" || is_url || latimer_protocol::secret::names_a_credential(key);
        if is_secret && !matches!(key, "api_key_env" | "api_key_file") {
            return STARS.to_owned();
        }
        literal.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn endpoint(&self, name: Option<&str>) -> Option<Endpoint> {
        let mut all = self.config.endpoints.iter().chain(&self.config.disabled);
        all.find(|endpoint| Some(endpoint.name.as_str()) == name).cloned()
    }
}

/// The name of an entry of a list.
fn name_of<'v>(item: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    match item.get_ref() {
        DeValue::String(name) => Some(name),
        DeValue::Table(table) => {
            ["name", "id"].iter().find_map(|field| table.get(*field)?.get_ref().as_str())
        }
        _ => None,
    }
}

/// What a preset, or the environment, says of an endpoint that does not say it itself.
fn of_endpoint(key: &str, table: &DeTable<'_>, endpoint: &Endpoint) -> Option<(String, Origin)> {
    let preset = endpoint.preset.and_then(presets::find);
    let of_preset = |value: String| Some((value, Origin::Preset(preset?.name)));
    let says = |key: &str| table.get(key).is_some();
    match key {
        "protocol" => of_preset(quoted(endpoint.protocol.name())),
        "base_url" => of_preset(quoted(&endpoint.base_url)),
        "login" => of_preset(quoted(endpoint.login?.name())),
        "api_key_env" if !says("api_key") && !says("api_key_file") => of_preset(quoted(preset?.key_env?)),
        "api_key" if !says("api_key_file") => {
            let named = table.get("api_key_env").and_then(|value| value.get_ref().as_str());
            let variable = named.or(preset.and_then(|preset| preset.key_env))?;
            env(variable).filter(|key| !key.is_empty())?;
            Some((STARS.to_owned(), Origin::Environment(variable.to_owned())))
        }
        "models" => {
            let models: Vec<String> = endpoint.models.iter().map(|model| quoted(&model.id)).collect();
            of_preset(format!("[{}]", models.join(", ")))
        }
        "repair" => of_preset(quoted(match endpoint.repair {
            RepairLevel::Off => "off",
            RepairLevel::Assist => "assist",
            RepairLevel::Parse | RepairLevel::WhereTranslated => "parse",
        })),
        _ => None,
    }
}

/// The way out of the network that the environment names, without a password.
fn of_network() -> Option<(String, Origin)> {
    let (name, url) =
        OUTBOUND_VARIABLES.iter().find_map(|name| Some((*name, env(name).filter(|url| !url.is_empty())?)))?;
    let value = if url.contains('@') { STARS.to_owned() } else { quoted(&url) };
    Some((value, Origin::Environment(name.to_owned())))
}

/// The default of a key as TOML.
fn default_of(key: &Key) -> String {
    let is_bare = key.kind == "number" || key.kind == "true or false" || key.default.starts_with(['[', '{']);
    if is_bare { key.default.to_owned() } else { quoted(key.default) }
}

/// A TOML text.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    const FILE: &str = "[server]\ngrace = \"5s\"\n\n[[endpoint]]\nname = \"d\"\npreset = \"deepseek\"\nretries = 1\nmodels = [\n  \"one\",\n  { id = \"z/two\", images = false },\n]\n\n[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\napi_key = \"sk-numbat-42\"\nheaders = { x-api-key = \"numbat-43\", x-team = \"t\" }\n\n[watchdog]\ntier3 = false\n";

    fn rows() -> Vec<Setting> {
        let loaded = load_text(FILE).expect("a configuration");
        of_text(FILE, &loaded.config)
    }

    #[test]
    fn every_setting_says_where_it_is_from() {
        let rows = rows();
        let of = |key: &str| {
            let found =
                rows.iter().find(|row| row.is_called(key)).unwrap_or_else(|| panic!("{key} in {rows:#?}"));
            format!("{} from {}", found.value, found.origin)
        };
        for (key, want) in [
            ("server.grace", "\"5s\" from file, line 2"),
            ("server.listen", "\"127.0.0.1:4180\" from default"),
            ("server.websocket", "false from default"),
            ("endpoint.d.retries", "1 from file, line 7"),
            ("endpoint[0].retries", "1 from file, line 7"),
            ("endpoint.d.base_url", "\"https://api.deepseek.com\" from preset deepseek"),
            ("endpoint.d.api_key_env", "\"DEEPSEEK_API_KEY\" from preset deepseek"),
            ("endpoint.d.timeouts.idle", "\"300s\" from default"),
            ("endpoint.d.models", "[\"one\", \"z/two\"] from file, line 8"),
            ("endpoint.d.models.\"z/two\".images", "false from file, line 10"),
            ("endpoint.lab.protocol", "\"chat\" from default"),
            ("endpoint.lab.api_key", "\"***\" from file, line 16"),
            ("endpoint.lab.headers.x-api-key", "\"***\" from file, line 17"),
            ("endpoint.lab.headers.x-team", "\"t\" from file, line 17"),
            ("watchdog.tier3", "false from file, line 20"),
        ] {
            assert_eq!(of(key), want, "{key}");
        }
        let all = format!("{rows:?}");
        assert!(!all.contains("numbat"), "{all}");
    }

    #[test]
    fn a_value_is_toml_and_json() {
        let rows = rows();
        let row = rows.iter().find(|row| row.key == "endpoint.d.models").expect("models");
        assert_eq!(row.document()["value"], json!(["one", "z/two"]));
        let grace = rows.iter().find(|row| row.key == "server.grace").expect("grace");
        assert_eq!(
            (grace.bare_value(), &grace.document()["origin"]),
            ("5s", &json!({ "kind": "file", "line": 2 }))
        );
    }
}
