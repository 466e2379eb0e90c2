//! Where one logs in: a row for each provider. Client ids are not here: they are the vendors', and come from the person's own
//! configuration or the vendor's installed tool.

/// How a token endpoint wants its questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRequestFormat {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// JSON.
    Json,
}

/// Where a device logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLogin {
    /// The issuer.
    pub base_url: &'static str,
}

/// One provider with an OAuth login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginProvider {
    /// As on the command line.
    pub name: &'static str,
    /// Where a person says yes.
    pub authorize_url: &'static str,
    /// Where a code becomes a token.
    pub token_url: &'static str,
    /// What is asked for.
    pub scopes: &'static [&'static str],
    /// The host of the address the browser comes back to.
    pub redirect_host: &'static str,
    /// Its port, where the provider insists on one.
    pub redirect_port: Option<u16>,
    /// The path of that address on this machine, as it is registered with the provider.
    pub redirect_path: &'static str,
    /// The address that shows the code to a person without a browser beside latimer, where there is one.
    pub shown_redirect: Option<&'static str>,
    /// Further parameters of the first address.
    pub extra: &'static [(&'static str, &'static str)],
    /// How the token endpoint wants its questions.
    pub body: TokenRequestFormat,
    /// The state goes to the token endpoint as well.
    pub sends_state: bool,
    /// Who the person is, by access token; where the answer does not say.
    pub user_url: Option<&'static str>,
    /// A secret belongs to the client id.
    pub has_secret: bool,
    /// A login by a code that is typed on another device, where the provider has one.
    pub device: Option<DeviceLogin>,
}

const GOOGLE: LoginProvider = LoginProvider {
    name: "google",
    authorize_url: "https://accounts.google.com/o/oauth2/v2/auth",
    token_url: "https://oauth2.googleapis.com/token",
    scopes: &[
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
    ],
    redirect_host: "127.0.0.1",
    redirect_port: None,
    redirect_path: "/oauth2callback",
    shown_redirect: Some("https://codeassist.google.com/authcode"),
    extra: &[("access_type", "offline"), ("prompt", "consent")],
    body: TokenRequestFormat::Form,
    sends_state: false,
    user_url: Some("https://www.googleapis.com/oauth2/v2/userinfo?alt=json"),
    has_secret: true,
    device: None,
};

/// Every provider with an OAuth login.
pub const PROVIDERS: [LoginProvider; 4] = [
    GOOGLE,
    LoginProvider {
        name: "antigravity",
        scopes: &[
            "https://www.googleapis.com/auth/cloud-platform",
            "https://www.googleapis.com/auth/userinfo.email",
            "https://www.googleapis.com/auth/userinfo.profile",
            "https://www.googleapis.com/auth/cclog",
            "https://www.googleapis.com/auth/experimentsandconfigs",
        ],
        redirect_host: "localhost",
        redirect_port: Some(51121),
        redirect_path: "/oauth-callback",
        shown_redirect: None,
        ..GOOGLE
    },
    LoginProvider {
        name: "anthropic",
        authorize_url: "https://claude.ai/oauth/authorize",
        token_url: "https://console.anthropic.com/v1/oauth/token",
        scopes: &["org:create_api_key", "user:profile", "user:inference"],
        redirect_host: "localhost",
        redirect_port: None,
        redirect_path: "/callback",
        shown_redirect: Some("https://console.anthropic.com/oauth/code/callback"),
        extra: &[("code", "true")],
        body: TokenRequestFormat::Json,
        sends_state: true,
        user_url: None,
        has_secret: false,
        device: None,
    },
    LoginProvider {
        name: "chatgpt",
        authorize_url: "https://auth.openai.com/oauth/authorize",
        token_url: "https://auth.openai.com/oauth/token",
        scopes: &["openid", "profile", "email", "offline_access"],
        redirect_host: "localhost",
        redirect_port: Some(1455),
        redirect_path: "/auth/callback",
        shown_redirect: None,
        extra: &[("id_token_add_organizations", "true"), ("codex_cli_simplified_flow", "true")],
        body: TokenRequestFormat::Form,
        sends_state: false,
        user_url: None,
        has_secret: false,
        device: Some(DeviceLogin { base_url: "https://auth.openai.com" }),
    },
];

/// The provider of this name.
pub fn find(name: &str) -> Option<&'static LoginProvider> {
    static TABLE: [LoginProvider; PROVIDERS.len()] = PROVIDERS;
    TABLE.iter().find(|provider| provider.name == name)
}
