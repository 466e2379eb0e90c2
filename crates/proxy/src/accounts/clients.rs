//! What latimer is to each provider: client ids of the person's own, or of the vendor's installed tool. None is built in.

use std::path::{Path, PathBuf};

use latimer_adapters::auth::flow::OAuthClient;
use latimer_adapters::auth::provider::LoginProvider;
use latimer_adapters::auth::token::claims;
use latimer_protocol::secret::Secret;
use serde_json::Value;

use super::Places;

/// The file in the state directory.
pub const FILE: &str = "oauth-clients.json";

/// A client, and where to ask with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthConfig {
    /// Its id and secret.
    pub client: OAuthClient,
    /// Where a person says yes.
    pub authorize_url: String,
    /// Where a code becomes a token.
    pub token_url: String,
    /// Who the person is.
    pub user_url: Option<String>,
}

/// Finds the client for a provider, or says exactly what to set.
///
/// # Errors
/// What to set, and where: no client is registered, or the file of clients names one that cannot be used.
pub fn find(provider: &LoginProvider, places: &Places) -> Result<OAuthConfig, String> {
    let own = section(&places.state_dir.join(FILE), provider.name)?;
    let text = |name: &str| own.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let url = |name: &str, usual: &str| match text(name) {
        None => Ok(usual.to_owned()),
        Some(url) if is_safe(&url) => Ok(url),
        Some(_) => Err(format!("`{name}` of `{}` in {FILE} should be an https: URL", provider.name)),
    };
    let client = own_client(&text)
        .or_else(|| from_environment(provider, places))
        .or_else(|| from_launcher(provider, places))
        .or_else(|| from_gemini_cli(provider, places))
        .or_else(|| from_codex(provider, places))
        .ok_or_else(|| missing(provider, places))?;
    Ok(OAuthConfig {
        client,
        authorize_url: url("authorize_url", provider.authorize_url)?,
        token_url: url("token_url", provider.token_url)?,
        user_url: match (provider.user_url, text("user_url")) {
            (usual, Some(_)) => Some(url("user_url", usual.unwrap_or_default())?),
            (usual, None) => usual.map(str::to_owned),
        },
    })
}

/// A URL that a file names instead of the usual one; for what is not OAuth.
///
/// # Errors
/// The file of clients cannot be read, or names a URL that is not `https:`.
pub fn base_url(login: &str, usual: &str, places: &Places) -> Result<String, String> {
    let own = section(&places.state_dir.join(FILE), login)?;
    match own.and_then(|own| own.get("base_url")?.as_str().map(str::to_owned)) {
        None => Ok(usual.to_owned()),
        Some(url) if is_safe(&url) => Ok(url.trim_end_matches('/').to_owned()),
        Some(_) => Err(format!("`base_url` of `{login}` in {FILE} should be an https: URL")),
    }
}

/// Secrets go over https, or stay on this machine.
pub fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<hyper::Uri>() else { return false };
    let names_a_person = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
    match (uri.scheme_str(), uri.host()) {
        _ if names_a_person => false,
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => matches!(host, "127.0.0.1" | "localhost" | "[::1]"),
        _ => false,
    }
}

/// A person's own section; a file that is there and cannot be used is reported, not passed over.
fn section(path: &Path, name: &str) -> Result<Option<Value>, String> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let mut fields = super::file::read_private(path).map_err(|broken| broken.to_string())?;
    Ok(fields.remove(name))
}

fn own_client(text: &dyn Fn(&str) -> Option<String>) -> Option<OAuthClient> {
    Some(OAuthClient { id: text("client_id")?, secret: text("client_secret").map(Secret::new) })
}

fn variable(provider: &LoginProvider, tail: &str) -> String {
    format!("LATIMER_{}_{tail}", provider.name.to_ascii_uppercase())
}

fn from_environment(provider: &LoginProvider, places: &Places) -> Option<OAuthClient> {
    let id = (places.env)(&variable(provider, "CLIENT_ID")).filter(|id| !id.is_empty())?;
    Some(OAuthClient { id, secret: (places.env)(&variable(provider, "CLIENT_SECRET")).map(Secret::new) })
}

/// The file of Codex Launcher.
fn from_launcher(provider: &LoginProvider, places: &Places) -> Option<OAuthClient> {
    let name = match provider.name {
        "google" => "gemini_cli",
        "antigravity" => "antigravity",
        _ => return None,
    };
    let own =
        section(&places.home.as_ref()?.join(".config/codex-launcher/oauth-secrets.json"), name).ok()??;
    own_client(&|field| own.get(field)?.as_str().map(str::to_owned))
}

/// The constants of an installed Gemini CLI: it is the application the person agreed to use.
fn from_gemini_cli(provider: &LoginProvider, places: &Places) -> Option<OAuthClient> {
    const INSIDE: [&str; 3] = [
        "node_modules/@google/gemini-cli-core/dist/src/code_assist/oauth2.js",
        "node_modules/@google/gemini-cli/node_modules/@google/gemini-cli-core/dist/src/code_assist/oauth2.js",
        "dist/src/code_assist/oauth2.js",
    ];
    if provider.name != "google" {
        return None;
    }
    let path = (places.env)("PATH")?;
    let program =
        std::env::split_paths(&path).map(|dir| dir.join("gemini")).find(|program| program.exists())?;
    let program = program.canonicalize().ok()?;
    let candidates =
        program.ancestors().skip(1).take(6).flat_map(|dir| INSIDE.map(|inside| dir.join(inside)));
    // Newer ones are bundled: the constants stand in the program, or in one of the pieces beside it.
    let beside = program.parent()?.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let beside = beside.filter(|path| path.extension().is_some_and(|extension| extension == "js"));
    let candidates: Vec<PathBuf> = candidates.chain([program.clone()]).chain(beside).collect();
    let mut source = candidates.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    source.find_map(|source| constants(&source))
}

/// The id with which Codex itself logged in: its token says for whom it was made.
fn from_codex(provider: &LoginProvider, places: &Places) -> Option<OAuthClient> {
    if provider.name != "chatgpt" {
        return None;
    }
    let home = (places.env)("CODEX_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let path = home.or_else(|| Some(places.home.as_ref()?.join(".codex")))?.join("auth.json");
    let tokens = section(&path, "tokens").ok()??;
    let claims = claims(tokens.get("id_token")?.as_str()?)?;
    let audience = claims.get("aud")?;
    let id = audience.as_str().or_else(|| audience.get(0)?.as_str())?;
    Some(OAuthClient { id: id.to_owned(), secret: None })
}

/// A client id and its secret in a source text. A bundle holds the ids of other applications too: the right one is that next to the
/// secret.
fn constants(source: &str) -> Option<OAuthClient> {
    let words = || {
        let mut offset = 0;
        source.split(['\'', '"', '`']).map(move |word| {
            let start = offset;
            offset += word.len() + 1;
            (start, word)
        })
    };
    let is_id = |word: &str| {
        word.len() < 200 && word.ends_with(".apps.googleusercontent.com") && !word.contains([' ', '/'])
    };
    let secret = words().find(|(_, word)| word.len() < 200 && word.starts_with(concat!("GOC", "SPX-")));
    let distance = |at: usize| secret.map_or(0, |(beside, _)| beside.abs_diff(at));
    let (_, id) = words().filter(|(_, word)| is_id(word)).min_by_key(|(at, _)| distance(*at))?;
    Some(OAuthClient { id: id.to_owned(), secret: secret.map(|(_, secret)| Secret::new(secret)) })
}

fn missing(provider: &LoginProvider, places: &Places) -> String {
    let (id, secret) = (variable(provider, "CLIENT_ID"), variable(provider, "CLIENT_SECRET"));
    let and_secret = if provider.has_secret { format!(" and {secret}") } else { String::new() };
    let tool = match provider.name {
        "google" => ", or install the Gemini CLI, whose id is used then",
        "chatgpt" => {
            return format!(
                "Codex is not logged in here, and its login is the one that is used: run `codex login` first; then nothing else is needed (or set {id})"
            );
        }
        _ => "",
    };
    format!(
        "no client id for `{}` is known, and none is built in: set {id}{and_secret}, or write {{\"{}\":{{\"client_id\":\"…\"}}}} into `{}`{tool}",
        provider.name,
        provider.name,
        places.state_dir.join(FILE).display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_in_a_source() {
        let source = "const A = '123-abc.apps.googleusercontent.com';\nconst B = \"GOCSPX-x\";";
        let client = constants(source).expect("found");
        assert_eq!(client.id, "123-abc.apps.googleusercontent.com");
        assert!(client.secret.is_some());
        assert_eq!(constants("nothing here"), None);
        let bundle =
            "'1-other.apps.googleusercontent.com'; var x = 1; /* a long way */ 'filler filler filler filler';
            var ID = \"2-right.apps.googleusercontent.com\"; var SECRET = \"GOCSPX-x\"; 'more';";
        assert_eq!(constants(bundle).expect("found").id, "2-right.apps.googleusercontent.com");
    }

    #[test]
    fn where_secrets_may_go() {
        for url in ["https://a.test/x", "http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:7"] {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "http://a.test",
            "http://localhost:x@a.test/",
            "https://me@a.test",
            "http://localhost.a.test",
            "file:///etc",
            "x",
            "",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Places::new(dir.path().to_owned(), None, |_| None);
        latimer_files::write(&dir.path().join(FILE), b"{\"google\":").expect("written");
        let google = latimer_adapters::auth::provider::find("google").expect("known");
        assert!(find(google, &places).expect_err("broken").contains("half written"));
        assert!(base_url("codebuff", "https://x", &places).is_err());
    }
}
