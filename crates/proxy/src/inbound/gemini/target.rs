//! The path of a request: `/v1beta/models/{model}:{method}`. Pure.

use super::stream::Form;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `:generateContent`.
    Generate,
    /// `:streamGenerateContent`.
    Stream,
    /// `:countTokens`.
    Count,
}

/// A model and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The model, decoded; with slashes and colons of its own where it has them.
    pub model: String,
    /// What is asked for.
    pub method: Method,
}

/// The names of the methods, as they stand behind the last colon.
const METHODS: [(&str, Method); 3] = [
    ("generateContent", Method::Generate),
    ("streamGenerateContent", Method::Stream),
    ("countTokens", Method::Count),
];
/// The versions in front. SDKs change theirs from one release to the next; the wire is the same.
const VERSIONS: [&str; 4] = ["/v1beta", "/v1", "/v1alpha", "/v1beta1"];

impl Target {
    /// Reads a path without its query. `None` for a path that is none of this protocol's.
    pub fn read(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let name = VERSIONS
            .iter()
            .find_map(|version| path.strip_prefix(version)?.strip_prefix("/models/"))
            .or_else(|| path.strip_prefix("/models/"))?;
        let (model, method) = name.rsplit_once(':')?;
        let (_, method) = METHODS.iter().find(|(word, _)| *word == method)?;
        let model = decoded(model)?;
        (!model.is_empty()).then_some(Self { model, method: *method })
    }

    /// The form of the answer; `query` is what stands behind the question mark.
    pub fn form(&self, query: Option<&str>) -> Form {
        let wants_events = || query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
        match self.method {
            Method::Stream if wants_events() => Form::Events,
            Method::Stream => Form::Array,
            Method::Generate | Method::Count => Form::Object,
        }
    }
}

/// Undoes `%2F` and the like. `None` for what is no UTF-8 behind it.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let hex = (*byte == b'%').then(|| behind.get(..2)).flatten();
        let code = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(code.unwrap_or(*byte));
        rest = if code.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_every_client() {
        let cases = [
            ("/v1beta/models/gemini-3-flash:generateContent", "gemini-3-flash", Method::Generate),
            ("/v1/models/m:streamGenerateContent", "m", Method::Stream),
            (
                "/v1alpha/models/deepseek/deepseek-v4:free:countTokens/",
                "deepseek/deepseek-v4:free",
                Method::Count,
            ),
            ("/v1beta1/models/a%2Fb%3Ac%zz%:generateContent", "a/b:c%zz%", Method::Generate),
            ("/models/m:generateContent", "m", Method::Generate),
        ];
        for (path, model, method) in cases {
            assert_eq!(Target::read(path), Some(Target { model: model.to_owned(), method }), "{path}");
        }
        for path in [
            "/v1beta/models",
            "/v1beta/models/m",
            "/v1beta/models/m:embedContent",
            "/v1beta/models/:generateContent",
            "/v1beta/models/%ff:generateContent",
            "/v2/models/m:generateContent",
            "",
        ] {
            assert_eq!(Target::read(path), None, "{path}");
        }
    }

    #[test]
    fn the_query_chooses_between_the_forms_of_a_stream() {
        let form = |method, query| Target { model: "m".to_owned(), method }.form(query);
        assert_eq!(form(Method::Stream, Some("alt=sse")), Form::Events);
        assert_eq!(form(Method::Stream, Some("key=x&alt=sse")), Form::Events);
        assert_eq!(form(Method::Stream, Some("alt=json")), Form::Array);
        assert_eq!(form(Method::Stream, None), Form::Array);
        assert_eq!(form(Method::Generate, Some("alt=sse")), Form::Object);
    }
}
