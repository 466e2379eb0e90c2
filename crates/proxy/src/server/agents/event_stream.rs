//! `GET /v1/agents/runs/ID/events`: what happens in a run, from the beginning, for one listener. One that reads slowly holds nothing up: the
//! events are the run's own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::runs::named;
use super::{unavailable, unknown};
use crate::agents::names::RunId;
use crate::agents::runs::Runs;
use crate::agents::runs::live::LiveRun;
use crate::http::refusal::Refusal;
use crate::http::reply::{ByteStream, Reply};

/// The longest silence.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) async fn open(agents: &Arc<Runs>, id: &str) -> Result<Response<Reply>, Refusal> {
    let name = named(id)?;
    let live = agents.find_live(&name);
    let run = agents.run(&name).await.map_err(|error| unavailable(&error))?;
    let run = run.ok_or_else(|| unknown("run", id, "GET /v1/agents/runs lists them"))?;
    let place = match live {
        Some(live) => Place::Live { live, next: 0 },
        None if run.status.is_over() => Place::Over { events: kept(agents, &name).await },
        None => Place::Elsewhere { agents: Arc::clone(agents), id: name },
    };
    let mut response = Response::new(Reply::Stream(Box::new(EventStream { next: Some(next(place)) })));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Where the events of a run are.
enum Place {
    /// In this process: `next` is the first that was not sent yet.
    Live { live: Arc<LiveRun>, next: usize },
    /// Written down.
    Over { events: Bytes },
    /// In another process, which writes them down at the end.
    Elsewhere { agents: Arc<Runs>, id: RunId },
}

async fn kept(agents: &Arc<Runs>, id: &RunId) -> Bytes {
    let id = id.clone();
    let events = agents.with_store(move |store| store.events(&id)).await;
    events.ok().flatten().unwrap_or_default().into()
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Place)>> + Send>>;

/// The next bytes: events, or a sign of life. `None` behind the last event.
fn next(place: Place) -> Next {
    Box::pin(async move {
        match place {
            Place::Live { live, next } => {
                let mut growth = live.growth();
                growth.mark_unchanged();
                // Looked at first: what was told before the end is in the list then.
                let is_over = live.is_over();
                let frames = live.from(next);
                if !frames.is_empty() {
                    let next = next + frames.len();
                    return Some((frames.concat().into(), Place::Live { live, next }));
                }
                if is_over {
                    return None;
                }
                let grown = tokio::time::timeout(KEEP_ALIVE, growth.changed()).await;
                let sign = if grown.is_err() { ": still here\n\n" } else { "" };
                Some((Bytes::from_static(sign.as_bytes()), Place::Live { live, next }))
            }
            Place::Over { events } if events.is_empty() => None,
            Place::Over { events } => Some((events, Place::Over { events: Bytes::new() })),
            Place::Elsewhere { agents, id } => {
                let waited = tokio::time::timeout(KEEP_ALIVE, agents.wait(&id)).await;
                if waited.is_ok() {
                    return Some((Bytes::new(), Place::Over { events: kept(&agents, &id).await }));
                }
                // It may have come here meanwhile.
                let place = match agents.find_live(&id) {
                    Some(live) => Place::Live { live, next: 0 },
                    None => Place::Elsewhere { agents, id },
                };
                Some((Bytes::from_static(b": still here\n\n"), place))
            }
        }
    })
}

/// The events for one listener.
struct EventStream {
    /// `None` behind the last one.
    next: Option<Next>,
}

impl ByteStream for EventStream {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let Some(waiting) = &mut self.next else { return Poll::Ready(None) };
            let Some((bytes, place)) = ready!(waiting.as_mut().poll(cx)) else {
                self.next = None;
                return Poll::Ready(None);
            };
            self.next = Some(next(place));
            if !bytes.is_empty() {
                return Poll::Ready(Some(bytes));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.next.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::server::agents::tests::{agents, queued};

    async fn events(body: &mut Reply) -> String {
        let frame = body.frame().await.expect("not over").expect("fine");
        String::from_utf8(frame.into_data().expect("bytes").to_vec()).expect("text")
    }

    #[tokio::test]
    async fn events_come_from_the_beginning_as_they_happen_and_are_kept() {
        let (_dir, agents) = agents().await;
        let id = queued(&agents).await;
        let mut body = open(&agents, &id).await.expect("there").into_body();
        assert!(events(&mut body).await.contains("\"queued\""));
        let run = RunId::read(&id).expect("a name");
        agents.cancel(&run).await.expect("cancelled");
        let mut rest = String::new();
        while let Some(Ok(frame)) = body.frame().await {
            rest.push_str(std::str::from_utf8(frame.data_ref().expect("bytes")).expect("text"));
        }
        assert!(
            rest.contains("event: error")
                && rest.ends_with("{\"type\":\"status\",\"status\":\"cancelled\"}\n\n"),
            "{rest}"
        );
        let mut kept = open(&agents, &id).await.expect("there").into_body();
        let whole = events(&mut kept).await;
        assert!(whole.contains("\"queued\"") && whole.ends_with(&rest), "{whole}");
        assert!(kept.frame().await.is_none());
        assert_eq!(
            open(&agents, "run_0000000000000000").await.err().map(|refusal| refusal.status),
            Some(404)
        );
    }
}
