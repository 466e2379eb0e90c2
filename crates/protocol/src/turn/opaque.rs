//! Provider state that travels through the client and back to its owner, and to nobody else.
//!
//! The carrier is one opaque word in a field such as `encrypted_content`. It names its owner and is sealed, so that it needs
//! no store: any latimer with the same secret reads it, after a restart and on another machine.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Bytes of a seal; half of the hash is plenty for a value that lives as long as a conversation.
const SEAL_BYTES: usize = 16;

/// Whose state it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct StateOwner {
    /// The preset's or the endpoint's name.
    pub provider: String,
    /// The model without what changes nothing about its state: see [`family`].
    pub family: String,
    /// The account, where state is bound to one.
    pub account: Option<String>,
}

impl StateOwner {
    /// The owner of what this model of this provider makes.
    pub fn new(provider: &str, model: &str) -> Self {
        Self { provider: provider.to_owned(), family: family(model), account: None }
    }

    /// The same owner, bound to an account.
    #[must_use]
    pub fn of_account(self, account: impl Into<String>) -> Self {
        Self { account: Some(account.into()), ..self }
    }
}

impl fmt::Display for StateOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.family)?;
        self.account.as_ref().map_or(Ok(()), |account| write!(f, "@{account}"))
    }
}

/// The family of a model: its name in lower case without a vendor in front, and without a date, an effort, a price tag or a
/// word such as `latest` behind.
pub fn family(model: &str) -> String {
    const TAILS: [&str; 13] = [
        "thinking",
        "latest",
        "preview",
        "exp",
        "low",
        "medium",
        "high",
        "xhigh",
        "max",
        "minimal",
        "free",
        "customtools",
        "fast",
    ];
    let lower = model.to_ascii_lowercase();
    let name = lower.rsplit(['/', ':']).find(|part| !TAILS.contains(part)).unwrap_or(&lower);
    let is_date = |part: &str| part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut family = name;
    while let Some((front, tail)) = family.rsplit_once(['-', '@']) {
        if front.is_empty() || !(TAILS.contains(&tail) || is_date(tail)) {
            break;
        }
        family = front;
    }
    family.to_owned()
}

/// The secret that makes carriers latimer's own.
#[derive(Clone)]
pub struct SealKey([u8; 64]);

impl SealKey {
    /// A seal from a secret that all nodes share, such as the access token.
    pub fn from_secret(secret: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"latimer carrier\n").chain_update(secret).finalize();
        // A block of the hash function, padded as HMAC pads its keys.
        let mut key = [0; 64];
        key[..32].copy_from_slice(&hash);
        Self(key)
    }

    fn hash(&self) -> Hmac<Sha256> {
        Hmac::new(&self.0.into())
    }

    /// The mark of a text that latimer made for a use of its own, such as a page's session: 64 hex digits. Nobody is given one for a text
    /// of his choice.
    pub fn mark(&self, purpose: &str, text: &str) -> String {
        let mac = self.hash().chain_update(format!("latimer mark\n{purpose}\n{text}")).finalize();
        mac.into_bytes().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// What only a holder of the same secret can answer to this challenge on this port: 64 hex digits. The port keeps a stranger from
    /// passing the challenge on to the process that knows the answer, and the first line keeps it from being a carrier's seal.
    pub fn proof(&self, challenge: &str, port: u16) -> String {
        let mac = self.hash().chain_update(format!("latimer proof\n{port}\n{challenge}")).finalize();
        mac.into_bytes().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
    }
}

impl Drop for SealKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl Default for SealKey {
    /// A seal that everyone can make, for tests and demonstrations.
    fn default() -> Self {
        Self::from_secret(b"")
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

/// A value only its owner understands: encrypted reasoning, a signature, reasoning details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueState {
    /// Who made it.
    pub owner: StateOwner,
    /// The value, as the owner wrote it.
    pub data: String,
}

impl OpaqueState {
    /// The first characters of every carrier latimer makes; the digit is the version of the layout.
    const PREFIX: &'static str = "latimer2.";

    /// The carrier as one opaque word: owner, value and seal.
    pub fn encode(&self, seal: &SealKey) -> String {
        let StateOwner { provider, family, account } = &self.owner;
        let owner = format!("{provider}\n{family}\n{}", account.as_deref().unwrap_or_default());
        let mut text = String::with_capacity(64 + (owner.len() + self.data.len()) * 4 / 3);
        text.push_str(Self::PREFIX);
        URL_SAFE_NO_PAD.encode_string(owner, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(&self.data, &mut text);
        let tag = seal.hash().chain_update(text.as_bytes()).finalize().into_bytes();
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.get(..SEAL_BYTES).unwrap_or_default(), &mut text);
        text
    }

    /// Reads a carrier back. `None` for anything latimer did not make, or that was changed on its way: foreign state has no
    /// business upstream.
    pub fn decode(text: &str, seal: &SealKey) -> Option<Self> {
        let (sealed, tag) = text.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok().filter(|tag| tag.len() == SEAL_BYTES)?;
        let (owner, data) = sealed.strip_prefix(Self::PREFIX)?.split_once('.')?;
        seal.hash().chain_update(sealed.as_bytes()).verify_truncated_left(&tag).ok()?;
        let field = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let owner = field(owner)?;
        let mut parts = owner.split('\n').map(str::to_owned);
        let owner = StateOwner {
            provider: parts.next()?,
            family: parts.next()?,
            account: parts.next().filter(|account| !account.is_empty()),
        };
        Some(Self { owner, data: field(data)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> SealKey {
        SealKey::from_secret(b"a secret of the state directory")
    }

    proptest::proptest! {
        #[test]
        fn decode_reads_what_encode_wrote(provider in "[a-z-]+", family in "[a-z.-]+", account in "[a-z@]{0,4}", data in ".*") {
            let account = Some(account).filter(|account| !account.is_empty());
            let opaque = OpaqueState { owner: StateOwner { provider, family, account }, data };
            proptest::prop_assert_eq!(OpaqueState::decode(&opaque.encode(&seal()), &seal()), Some(opaque));
        }

        #[test]
        fn a_changed_carrier_is_nobodys(place in 0usize..60, byte in "[A-Za-z0-9._-]") {
            let text = OpaqueState { owner: StateOwner::new("lab", "m"), data: "state".into() }.encode(&seal());
            let mut changed = text.clone();
            let place = place % text.len();
            changed.replace_range(place..=place, &byte);
            // The last letter of base64 may hold bits that mean nothing.
            let same = changed == text || place + 1 == text.len();
            proptest::prop_assert!(same || OpaqueState::decode(&changed, &seal()).is_none(), "{}", changed);
        }
    }

    #[test]
    fn foreign_carriers_are_not_ours() {
        for text in [
            "",
            "gAAAAABo",
            "latimer2.",
            "latimer2.a",
            "latimer2.!.!.!",
            "latimer1.YQ.YQ",
            "latimer2.YQ.YQ.YQ",
        ] {
            assert_eq!(OpaqueState::decode(text, &seal()), None, "{text:?}");
        }
        let ours = OpaqueState { owner: StateOwner::new("lab", "m"), data: String::new() };
        let other = SealKey::from_secret(b"another node");
        assert_eq!(OpaqueState::decode(&ours.encode(&seal()), &other), None);
    }

    #[test]
    fn families() {
        let cases = [
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("anthropic/claude-opus-4.6-thinking", "claude-opus-4.6"),
            ("gemini-3-pro-preview", "gemini-3-pro"),
            ("gemini-3.5-flash-low", "gemini-3.5-flash"),
            ("deepseek/deepseek-v4-flash:free", "deepseek-v4-flash"),
            ("anthropic:claude-sonnet-4-6", "claude-sonnet-4-6"),
            ("gpt-5.5", "gpt-5.5"),
            ("GLM-5", "glm-5"),
            ("latest", "latest"),
            ("", ""),
        ];
        for (model, want) in cases {
            assert_eq!(family(model), want, "{model}");
        }
    }
}
