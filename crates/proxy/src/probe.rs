//! A turn that needs no network: the model `latimer/probe`.
//!
//! It is asked for like any other, by a client with the token, and walks the whole way: request, route, attempt, an HTTP
//! connection to a scripted provider inside of this process, reader, repair, writer. So whoever gets its answer knows that turns
//! work, which a health document cannot say. It is in nobody's statistics.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Step};
use latimer_protocol::status::PROBE_MODEL;
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::config::parse;
use crate::lifecycle::open_turns::OpenTurns;
use crate::route::endpoint_set::EndpointSet;
use crate::route::memory::Memory;

/// What the probe says.
pub const ANSWER: &str = "All parts of latimer answer.";
/// A request for the probe is short; longer ones need no look.
const LONGEST: usize = 4096;

/// The provider behind the probe; started by the first one.
#[derive(Default)]
pub struct Probe {
    stage: OnceCell<Stage>,
}

/// What a probe's turn works with.
pub struct Stage {
    /// One endpoint: the scripted provider.
    pub endpoint_set: Arc<EndpointSet>,
    /// Counts probes apart from turns.
    pub turns: Arc<OpenTurns>,
    /// Answers as long as it lives.
    _provider: Provider,
}

/// Whether a request asks for the probe.
pub fn asks(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }
    body.len() <= LONGEST
        && serde_json::from_slice::<Named<'_>>(body).is_ok_and(|named| named.model == PROBE_MODEL)
}

impl Probe {
    /// What the turn works with.
    ///
    /// # Errors
    /// There is no port or descriptor left for the provider.
    pub async fn stage(&self) -> io::Result<&Stage> {
        self.stage.get_or_try_init(start).await
    }
}

async fn start() -> io::Result<Stage> {
    let answer = ScriptedAnswer::turn([Step::reasoning("A look around."), Step::text(ANSWER)]);
    let provider = Provider::start(Scenario::new([answer]).without_record()).await?;
    let text = format!(
        "[[endpoint]]\nname = \"latimer\"\nbase_url = \"{}\"\nmodels = [\"probe\"]\nretries = 0\ntimeouts = {{ connect = \"5s\", first_byte = \"5s\", idle = \"5s\" }}\n",
        provider.base_url()
    );
    let unreadable = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    let loaded = parse::load(&text, &|_| None, &unreadable)
        .map_err(|_| io::Error::other("the probe's configuration cannot be read"))?;
    let endpoint_set = EndpointSet::new(Arc::new(loaded.config), Arc::new(Memory::new(None)), None, None);
    Ok(Stage {
        endpoint_set: Arc::new(endpoint_set),
        turns: Arc::new(OpenTurns::default()),
        _provider: provider,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_model_is_the_probe() {
        assert!(asks(br#"{"stream":true,"model":"latimer/probe","input":"x"}"#));
        assert!(asks(br#"{"model":"latimer\/probe"}"#));
        for other in [r#"{"model":"glm-5","input":"latimer/probe"}"#, r#"{"input":"x"}"#, "", "{\"model\":1}"]
        {
            assert!(!asks(other.as_bytes()), "{other}");
        }
        let long = format!("{{\"model\":\"latimer/probe\",\"input\":\"{}\"}}", "x".repeat(LONGEST));
        assert!(!asks(long.as_bytes()));
    }
}
