//! Gemini upstreams: with a key, by the login of Code Assist, and by that of Antigravity. The protocol itself is in [`request`]
//! and [`stream`]; what the logins put around it is in `envelope`, `hosts`, `project` and `version`.

mod contents;
mod envelope;
pub mod errors;
mod hosts;
pub mod models;
mod project;
pub mod request;
pub mod schema;
mod signature;
pub mod stream;
mod tools;
mod version;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::quota::QuotaReading;
use latimer_protocol::turn::StateOwner;
use tokio::sync::OnceCell;

use self::request::FlavourLimits;
use self::stream::{ArgumentRule, GeminiReader};
use self::version::Version;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::endpoint_client::{EndpointClient, OpenError, OpenResult, RequestHead, SendError};
use crate::errors::CHECK_KEY;
use crate::model_list::{self, ProviderModel};
use crate::percent::path_segment;
use crate::prepared_request::{Headers, PreparedRequest, TurnInput, WireProtocol};
use crate::quota_place::QuotaPlace;
use crate::reader::ReaderContext;
use crate::sync::lock;

/// How the protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// With a key; the base ends in `/v1beta`.
    Native,
    /// By the login of the Gemini CLI.
    CodeAssist,
    /// By the login of Antigravity.
    Antigravity,
}

/// Settings of the logins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Hosts in the order in which they are tried; none for the endpoint's base alone.
    pub hosts: Vec<String>,
    /// Antigravity: this version instead of the one that is discovered.
    pub version: Option<String>,
    /// Antigravity: where the version is looked up; none for the vendor's own places.
    pub version_urls: Vec<String>,
    /// Tell the model to use its tools when it is asked for an edit.
    pub edit_nudge: bool,
}

/// One Gemini endpoint.
pub struct Gemini {
    client: Arc<EndpointClient>,
    flavour: Flavour,
    options: Options,
    /// The host that answered last.
    last_host: Mutex<Option<String>>,
    /// The project of each account, looked up once even when several turns need it at the same time.
    projects: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    version: Arc<Version>,
}

/// Why no host answered.
struct HostFailure {
    error: OpenError,
    body: Vec<u8>,
    /// The version is too old: no host knows the path any more, or one says so.
    outdated: bool,
}

impl Gemini {
    /// An endpoint of this flavour.
    pub fn new(client: Arc<EndpointClient>, flavour: Flavour, options: Options) -> Self {
        let version = Arc::new(Version::new(options.version.clone(), options.version_urls.clone()));
        Self { client, flavour, options, last_host: Mutex::default(), projects: Mutex::default(), version }
    }

    /// Translates the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        let TurnInput { turn, limitations, .. } = *input;
        let model =
            if self.flavour == Flavour::Antigravity { models::alias(&turn.model) } else { &turn.model };
        let owner = StateOwner::new(&self.client.provider, model);
        let limits = FlavourLimits {
            urls: self.flavour == Flavour::Native,
            token_limit: self.flavour != Flavour::Antigravity,
            edit_nudge: self.options.edit_nudge,
        };
        let mut encoded = request::write(turn, model, limits, &owner, limitations);
        if self.flavour != Flavour::Native {
            encoded.body = envelope::with_session(&encoded.body, self.flavour, turn);
        }
        encoded.prepare(WireProtocol::Gemini, model, owner)
    }

    /// Sends the turn. Returns once a host accepted it; its events are still to come.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        let credential = credential.filter(|credential| !credential.secret.is_empty()).ok_or_else(|| {
            let what = match self.flavour.login() {
                None => "no API key is configured; set api_key_env".to_owned(),
                Some(login) => format!("no account is logged in; run `{login}`"),
            };
            Failure::new(FailureKind::Unauthorized, format!("{}: {what}", self.client.name))
        })?;
        if self.flavour == Flavour::Native {
            return self.native(prepared, credential).await.map_err(|failed| failed.error);
        }
        let project = self.project(credential).await?;
        let version = self.version.current();
        let opened = self.on_hosts(prepared, credential, &project).await;
        match opened {
            Err(failed) if failed.outdated && self.version.discover(&self.client, &version).await => {
                self.on_hosts(prepared, credential, &project).await.map_err(|failed| failed.error)
            }
            opened => opened.map_err(|failed| failed.error),
        }
    }

    /// The project an account's requests are counted for; made, where there is none.
    ///
    /// # Errors
    /// Where the account service does not answer, or says that the account may not be used.
    pub async fn discover_project(&self, credential: &Credential) -> Result<String, Failure> {
        let asker = project::ProjectLookup {
            client: &self.client,
            hosts: &self.options.hosts,
            flavour: self.flavour,
            headers: self.headers("application/json", &[], credential)?,
            version: self.version.current(),
            wanted: credential.project.as_deref(),
        };
        asker.project().await.map_err(|failure| self.with_login_hint(failure))
    }

    /// Whether the provider tells what is left of an account's allowances.
    pub(crate) fn tells_quota(&self) -> bool {
        self.flavour == Flavour::CodeAssist
    }

    /// Asks for that.
    ///
    /// # Errors
    /// The account service does not answer, or with something else.
    pub(crate) async fn ask_quota(&self, credential: &Credential) -> Result<Vec<QuotaReading>, Failure> {
        let body = serde_json::json!({ "project": self.project(credential).await? });
        let headers = self.headers("application/json", &[], credential)?;
        QuotaPlace::CodeAssist.ask_with(&self.client, &headers, Some(body.to_string().into())).await
    }

    /// The project of an account, where a request has found it.
    pub fn project_of(&self, account: &str) -> Option<String> {
        lock(&self.projects).get(account)?.get().cloned()
    }

    async fn native(
        &self,
        prepared: &PreparedRequest,
        credential: &Credential,
    ) -> Result<TurnStream, HostFailure> {
        let mut headers = self.client.headers("text/event-stream", &prepared.headers);
        headers.push(self.native_credential(credential)?);
        let model = prepared.model.strip_prefix("models/").unwrap_or(&prepared.model);
        let model = path_segment(model);
        let url = format!("{}/models/{model}:streamGenerateContent?alt=sse", self.client.base_url);
        self.send(&RequestHead { url, headers }, prepared.body.clone(), prepared).await
    }

    fn native_credential(&self, credential: &Credential) -> Result<(HeaderName, HeaderValue), Failure> {
        if credential.is_access_token() {
            return self.client.bearer(&credential.secret);
        }
        let name = HeaderName::from_static("x-goog-api-key");
        self.client.secret_header(name, credential.secret.expose().to_owned())
    }

    /// The models that the provider lists; `None` for the logins, which have no list.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none.
    pub async fn models(
        &self,
        credential: Option<&Credential>,
    ) -> Result<Option<Vec<ProviderModel>>, Failure> {
        if self.flavour != Flavour::Native {
            return Ok(None);
        }
        let mut headers = self.client.headers("application/json", &[]);
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            headers.push(self.native_credential(credential)?);
        }
        let url = format!("{}/models?pageSize=1000", self.client.base_url);
        model_list::fetch(&self.client, &url, &headers).await.map(Some)
    }

    /// Tries the hosts one after the other, the one that answered last first.
    async fn on_hosts(
        &self,
        prepared: &PreparedRequest,
        credential: &Credential,
        project: &str,
    ) -> Result<TurnStream, HostFailure> {
        let headers = self.headers("text/event-stream", &prepared.headers, credential)?;
        let body: Bytes = envelope::wrap(prepared, self.flavour, project)?.into();
        let base = [self.client.base_url.clone()];
        let hosts = if self.options.hosts.is_empty() { &base[..] } else { &self.options.hosts };
        let last_host = lock(&self.last_host).clone();
        let mut order = hosts::order(hosts, last_host.as_deref()).into_iter().zip(1..).peekable();
        let mut all_missing = self.flavour == Flavour::Antigravity;
        while let Some((host, tried)) = order.next() {
            let url = format!("{host}/v1internal:streamGenerateContent?alt=sse");
            let head = RequestHead { url, headers: headers.clone() };
            let mut failed = match self.send(&head, body.clone(), prepared).await {
                Ok(stream) => {
                    *lock(&self.last_host) = Some(host.to_owned());
                    return Ok(stream);
                }
                Err(failed) => failed,
            };
            let failure = &failed.error.failure;
            if failure.status == Some(429) {
                lock(&self.last_host).take();
            }
            all_missing &= failure.status == Some(404);
            if !hosts::tries_next(failure, &failed.body, host, order.peek().is_none()) {
                let says_so = errors::contains(&failed.body, "no longer supported");
                failed.outdated = self.flavour == Flavour::Antigravity && (all_missing || says_so);
                return Err(failed);
            }
            tokio::time::sleep(hosts::pause(failure, tried)).await;
        }
        Err(Failure::new(FailureKind::Unreachable, format!("{}: no host is configured", self.client.name))
            .into())
    }

    async fn send(
        &self,
        head: &RequestHead,
        body: Bytes,
        prepared: &PreparedRequest,
    ) -> Result<TurnStream, HostFailure> {
        let arguments = match models::family(&prepared.model) {
            models::Family::Claude => ArgumentRule::WithoutPlaceholder,
            _ => ArgumentRule::AsWritten,
        };
        let reader = GeminiReader::new(ReaderContext::of(prepared, &self.client.name), arguments);
        let opened = self.client.open_stream(prepared.protocol, head, body, Box::new(reader)).await;
        opened.map_err(|error| match error {
            SendError::Failure(failure) => failure.into(),
            SendError::Response(response) => {
                let failure = errors::classify(&self.client.error_context(&response, &prepared.model));
                let error = self.client.open_error(self.with_login_hint(failure), &response, prepared);
                HostFailure { error, body: response.body, outdated: false }
            }
        })
    }

    fn headers(
        &self,
        accept: &'static str,
        of_turn: &[(HeaderName, HeaderValue)],
        credential: &Credential,
    ) -> Result<Headers, Failure> {
        let mut headers = self.client.headers(accept, of_turn);
        headers.push(self.client.bearer(&credential.secret)?);
        let is_set = self.client.headers.iter().any(|(name, _)| name == USER_AGENT);
        if self.flavour == Flavour::Antigravity && !is_set {
            // The provider tells by it whether the client is too old.
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            let agent = format!("antigravity/{} {os}/{arch}", self.version.refreshed(&self.client));
            headers.retain(|(name, _)| name != USER_AGENT);
            headers.extend(HeaderValue::try_from(agent).ok().map(|agent| (USER_AGENT, agent)));
        }
        Ok(headers)
    }

    async fn project(&self, credential: &Credential) -> Result<String, Failure> {
        if let Some(project) = &credential.project {
            return Ok(project.clone());
        }
        let cell = Arc::clone(lock(&self.projects).entry(credential.id.clone()).or_default());
        cell.get_or_try_init(|| self.discover_project(credential)).await.cloned()
    }

    /// What helps against a refused key does not help a person who logs in.
    fn with_login_hint(&self, mut failure: Failure) -> Failure {
        if let (FailureKind::Unauthorized, Some(login)) = (failure.kind, self.flavour.login()) {
            let hint = format!(" (log in again: `{login}`)");
            failure.message = failure.message.replace(CHECK_KEY, &hint).into();
        }
        failure
    }
}

impl Flavour {
    /// The command that logs a person in; `None` where a key is enough.
    fn login(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::CodeAssist => Some("latimer login google"),
            Self::Antigravity => Some("latimer login antigravity"),
        }
    }
}

impl From<Failure> for HostFailure {
    fn from(failure: Failure) -> Self {
        Self { error: failure.into(), body: Vec::new(), outdated: false }
    }
}
