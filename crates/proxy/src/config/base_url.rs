//! Addresses as people paste them: with the path of the one request that a provider's documentation shows. Pure.

use super::Protocol;

/// The paths behind an address, and what is spoken there.
const PATHS: [(&str, Option<Protocol>); 5] = [
    ("/chat/completions", Some(Protocol::Chat)),
    ("/completions", Some(Protocol::Chat)),
    ("/responses", Some(Protocol::Responses)),
    ("/messages", Some(Protocol::Messages)),
    ("/models", None),
];
/// What follows the name of a model in an address of Gemini's API.
const GEMINI_METHODS: [&str; 2] = [":generateContent", ":streamGenerateContent"];

/// An address, and what was cut off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastedUrl<'t> {
    /// Without the path of a request and without a slash at its end.
    pub url: &'t str,
    /// What latimer adds itself.
    pub cut: Option<&'t str>,
    /// The protocol of the request that was named.
    pub protocol: Option<Protocol>,
}

/// The address that a pasted one means.
pub fn mended(pasted: &str) -> PastedUrl<'_> {
    let whole = pasted.trim().trim_end_matches('/');
    for (path, protocol) in PATHS {
        if let Some(stem) = whole.strip_suffix(path).filter(|stem| has_host(stem)) {
            let cut = whole.get(stem.len()..);
            return PastedUrl { url: stem.trim_end_matches('/'), cut, protocol };
        }
    }
    if let Some((stem, model)) = whole.split_once("/models/")
        && GEMINI_METHODS.iter().any(|method| model.ends_with(method))
        && has_host(stem)
    {
        return PastedUrl { url: stem, cut: whole.get(stem.len()..), protocol: Some(Protocol::Gemini) };
    }
    PastedUrl { url: whole, cut: None, protocol: None }
}

/// Whether something is left of the address: a host may be called `models`.
fn has_host(stem: &str) -> bool {
    stem.split_once("://").is_some_and(|(_, rest)| !rest.trim_matches('/').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_request_is_cut_off_and_says_what_is_spoken() {
        let chat = Some(Protocol::Chat);
        for (pasted, url, protocol) in [
            ("https://a.test/v1", "https://a.test/v1", None),
            (" https://a.test/v1/ ", "https://a.test/v1", None),
            ("https://a.test/v1/chat/completions", "https://a.test/v1", chat),
            ("https://a.test/v1/chat/completions/", "https://a.test/v1", chat),
            ("https://a.test/v1/completions", "https://a.test/v1", chat),
            ("https://a.test/responses", "https://a.test", Some(Protocol::Responses)),
            ("https://a.test/v1/messages", "https://a.test/v1", Some(Protocol::Messages)),
            ("https://a.test/v1/models", "https://a.test/v1", None),
            (
                "https://g.test/v1beta/models/gemini-x:streamGenerateContent",
                "https://g.test/v1beta",
                Some(Protocol::Gemini),
            ),
            ("https://models", "https://models", None),
            ("https://a.test/v1/models/x", "https://a.test/v1/models/x", None),
            ("", "", None),
        ] {
            let found = mended(pasted);
            assert_eq!((found.url, found.protocol), (url, protocol), "{pasted}");
            assert_eq!(mended(found.url).url, url, "{pasted}: mended once is enough");
        }
    }
}
