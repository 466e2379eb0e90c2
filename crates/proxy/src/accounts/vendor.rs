//! Accounts of the vendors' own tools. Their files are only ever read.

use std::path::PathBuf;

use latimer_adapters::auth::token::claims;
use latimer_protocol::secret::Secret;
use serde_json::{Map, Value};

use super::Places;
use super::file::{AccountFileError, Tokens, read_private};
use crate::config::Login;

/// What a vendor's file gave.
pub(super) type VendorTokens = Result<Vec<Tokens>, AccountFileError>;

/// The most numbered files of one kind that are looked for.
const MAX_NUMBERED_FILES: usize = 32;

/// The files of a login's vendor that are there, and what stands in them.
pub(super) fn read(login: Login, places: &Places) -> Vec<(PathBuf, VendorTokens)> {
    let parse = match login {
        Login::Google => google,
        Login::Codebuff => codebuff,
        Login::CommandCode => command_code,
        Login::ChatGpt => chatgpt,
        Login::Antigravity => launcher,
        Login::Anthropic => return Vec::new(),
    };
    let mut all = Vec::new();
    let mut one = |path: PathBuf, parse: Parse| {
        if std::fs::symlink_metadata(&path).is_err() {
            return false;
        }
        let found = read_private(&path).and_then(|fields| {
            let found = parse(&fields);
            if found.is_empty() { Err(AccountFileError::new(&path, "holds no account")) } else { Ok(found) }
        });
        all.push((path, found));
        true
    };
    if let Some(path) = file(login, places) {
        one(path, parse);
    }
    // Codex Launcher numbers its files until the first gap.
    let stem = match login {
        Login::Google => "google-cli-oauth-token",
        Login::Antigravity => "google-antigravity-oauth-token",
        _ => return all,
    };
    if let Some(home) = &places.home {
        let folder = home.join(".cache/codex-proxy");
        one(folder.join(format!("{stem}.json")), launcher);
        let _ =
            (1..MAX_NUMBERED_FILES).all(|number| one(folder.join(format!("{stem}-{number}.json")), launcher));
    }
    all
}

type Parse = fn(&Map<String, Value>) -> Vec<Tokens>;

/// Where the vendor's tool keeps its file.
fn file(login: Login, places: &Places) -> Option<PathBuf> {
    if login == Login::ChatGpt
        && let Some(home) = (places.env)("CODEX_HOME").filter(|home| !home.is_empty())
    {
        return Some(PathBuf::from(home).join("auth.json"));
    }
    let inside = match login {
        Login::Google => ".gemini/oauth_creds.json",
        Login::Codebuff => ".config/manicode/credentials.json",
        Login::CommandCode => ".commandcode/auth.json",
        Login::ChatGpt => ".codex/auth.json",
        Login::Antigravity | Login::Anthropic => return None,
    };
    Some(places.home.as_ref()?.join(inside))
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The Gemini CLI; its dates are in milliseconds.
fn google(fields: &Map<String, Value>) -> Vec<Tokens> {
    let email = text(fields, "id_token")
        .and_then(claims)
        .and_then(|claims| Some(claims.get("email")?.as_str()?.to_owned()));
    let one = |access: &str| Tokens {
        id: email.clone().unwrap_or_else(|| "gemini-cli".to_owned()),
        access: Secret::new(access),
        refresh: text(fields, "refresh_token").map(Secret::new),
        expires_at: Some(fields.get("expiry_date").and_then(Value::as_u64).unwrap_or(0) / 1000),
        project: None,
    };
    text(fields, "access_token").map(one).into_iter().collect()
}

/// Codex Launcher; its dates are in seconds.
fn launcher(fields: &Map<String, Value>) -> Vec<Tokens> {
    let one = |access: &str| Tokens {
        id: text(fields, "email").unwrap_or("codex-launcher").to_owned(),
        access: Secret::new(access),
        refresh: text(fields, "refresh_token").map(Secret::new),
        expires_at: Some(seconds(fields.get("expires_at"))),
        project: text(fields, "project_id").map(str::to_owned),
    };
    text(fields, "access_token").map(one).into_iter().collect()
}

/// Whole seconds; some tools write fractions.
fn seconds(value: Option<&Value>) -> u64 {
    let text = value.map(Value::to_string).unwrap_or_default();
    text.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(0)
}

/// Codebuff: `default`, other users beside it, and a list that another tool adds.
fn codebuff(fields: &Map<String, Value>) -> Vec<Tokens> {
    let default = fields.get("default").into_iter();
    let others = fields.iter().filter(|(name, _)| *name != "default").map(|(_, value)| value);
    let listed = fields.get("accounts").and_then(Value::as_array).into_iter().flatten();
    let users = default.chain(others).chain(listed).filter_map(Value::as_object);
    let mut found: Vec<Tokens> = Vec::new();
    for (number, user) in users.enumerate() {
        let Some(token) = text(user, "authToken").or_else(|| text(user, "apiKey")) else { continue };
        let name = text(user, "email").or_else(|| text(user, "id")).map(str::to_owned);
        let id = name
            .unwrap_or_else(|| if number == 0 { "default".to_owned() } else { format!("account-{number}") });
        if found.iter().all(|known| known.id != id) {
            found.push(endless(id, token));
        }
    }
    if let (true, Some(key)) = (found.is_empty(), text(fields, "apiKey")) {
        found.push(endless("default".to_owned(), key));
    }
    found
}

fn command_code(fields: &Map<String, Value>) -> Vec<Tokens> {
    text(fields, "apiKey").map(|key| endless("command-code".to_owned(), key)).into_iter().collect()
}

/// Codex. Its refresh token is good for one use only, so the refreshing is left to Codex.
fn chatgpt(fields: &Map<String, Value>) -> Vec<Tokens> {
    let Some(tokens) = fields.get("tokens").and_then(Value::as_object) else { return Vec::new() };
    let email = text(tokens, "id_token")
        .and_then(claims)
        .and_then(|claims| Some(claims.get("email")?.as_str()?.to_owned()));
    let one = |access: &str| Tokens {
        id: email.clone().unwrap_or_else(|| "codex".to_owned()),
        access: Secret::new(access),
        refresh: None,
        expires_at: claims(access).and_then(|claims| claims.get("exp")?.as_u64()),
        project: text(tokens, "account_id").map(str::to_owned),
    };
    text(tokens, "access_token").map(one).into_iter().collect()
}

fn endless(id: String, token: &str) -> Tokens {
    Tokens { id, access: Secret::new(token), refresh: None, expires_at: None, project: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(login: Login, path: &str, text: &str) -> Vec<String> {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        latimer_files::write(&file, text.as_bytes()).expect("written");
        let places = Places::new(home.path().join("state"), Some(home.path().to_owned()), |_| None);
        let read = read(login, &places);
        let after = std::fs::read_to_string(&file).expect("still there");
        assert_eq!(after, text, "never written");
        read.into_iter().flat_map(|(_, tokens)| tokens.unwrap_or_default()).map(|tokens| tokens.id).collect()
    }

    #[test]
    fn files_of_the_vendors() {
        let codebuff = r#"{"default":{"email":"a@test","authToken":"1"},"other":{"id":"b","authToken":"2"},"accounts":[{"email":"a@test","authToken":"1"},{"email":"c@test","authToken":"3"}]}"#;
        assert_eq!(
            ids(Login::Codebuff, ".config/manicode/credentials.json", codebuff),
            ["a@test", "b", "c@test"]
        );
        assert_eq!(
            ids(Login::Codebuff, ".config/manicode/credentials.json", r#"{"apiKey":"k"}"#),
            ["default"]
        );
        assert_eq!(
            ids(Login::Google, ".gemini/oauth_creds.json", r#"{"access_token":"a","expiry_date":7000}"#),
            ["gemini-cli"]
        );
        assert_eq!(
            ids(Login::ChatGpt, ".codex/auth.json", r#"{"tokens":{"access_token":"a","account_id":"x"}}"#),
            ["codex"]
        );
        assert_eq!(
            ids(Login::CommandCode, ".commandcode/auth.json", r#"{"apiKey":"user_x"}"#),
            ["command-code"]
        );
        assert_eq!(ids(Login::CommandCode, ".commandcode/auth.json", "{\"apiK"), Vec::<String>::new());
        let launcher = r#"{"access_token":"a","email":"d@test","expires_at":7.5,"project_id":"p"}"#;
        for (login, stem) in [(Login::Google, "google-cli"), (Login::Antigravity, "google-antigravity")] {
            for tail in ["", "-1"] {
                let path = format!(".cache/codex-proxy/{stem}-oauth-token{tail}.json");
                assert_eq!(ids(login, &path, launcher), ["d@test"]);
            }
        }
    }
}
