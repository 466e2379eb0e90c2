//! From a listening socket to the end of the last connection: accepting, handing over, draining.

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use latimer_adapters::agents::children::end_leftovers;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_io_timeout::TimeoutStream;

use super::admission::{Admission, Admitted};
use super::agents::ProxyDoor;
use super::api::live;
use super::connections::ConnectionTracker;
use super::dispatch::{self, ConnectionContext};
use super::jobs;
use super::metrics;
use super::proxy::Proxy;
use super::transport::{ConnectionOrigin, Protection};
use super::websocket::UpgradeSlot;
use super::workers::{self, Workers};
use crate::clock;
use crate::config::Exposure;
use crate::lifecycle::phase::{Phase, StopRequest, until_draining};

/// How long a client may take for its request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request head, and of what is read of a body at once. Lines are limited to 100 by hyper.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long a client may read nothing of an answer that waits for it. Longer than a laptop's lid is closed by mistake; a client that is
/// gone for good holds a connection to the provider, and a place in its limit.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// After a second request to stop, and for writing the last events after the grace period.
const FORCE_STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the programs of agents may take to end.
const AGENTS_STOP: Duration = Duration::from_secs(5);
/// Connections at once; one more is told to come back.
const MAX_CONNECTIONS: usize = 10_000;
/// After handing over, how long a connection without a request is kept: its client may be about to use it.
const HANDED_OVER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// After handing over, the longest that turns may go on.
const HANDED_OVER_TIMEOUT: Duration = Duration::from_secs(600);
/// How often it is looked whether the connections that were handed over are idle.
const HANDED_OVER_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait before accepting again when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Proxy {
    /// Serves until `stop` yields once; a second yield shortens the grace period. Returns when every turn has ended, well
    /// or with a legal terminal event.
    ///
    /// # Errors
    ///
    /// The system refuses threads. What goes wrong with one connection ends that connection, and accepting goes on after a pause.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: mpsc::Receiver<StopRequest>,
    ) -> io::Result<()> {
        let protection = Protection::load(&Exposure::Loopback)?;
        self.serve_on(Doors { listener, protection, metrics: None }, stop).await
    }

    /// The same on doors that other machines may reach.
    ///
    /// # Errors
    ///
    /// As [`Proxy::serve`].
    pub async fn serve_on(
        self: Arc<Self>,
        doors: Doors,
        stop: mpsc::Receiver<StopRequest>,
    ) -> io::Result<()> {
        let Doors { listener, protection, metrics } = doors;
        let count = workers::wanted(self.live.current().server.workers);
        let workers = Workers::start(&self, count)?;
        let protection = Arc::new(protection);
        jobs::add(&self, &protection);
        let entrance = Entrance { listener, protection, admission: Admission::default() };
        let door = ProxyDoor(&self);
        tokio::select! {
            () = serve_connections(&self, entrance, workers, stop) => Ok(()),
            () = self.clockwork.drive() => Ok(()),
            () = self.lag.measure() => Ok(()),
            () = live::publish(&self) => Ok(()),
            () = metrics::serve(&self, metrics) => Ok(()),
            () = self.agents.work(&door) => Ok(()),
        }
    }
}

/// Where requests come in.
pub struct Doors {
    /// For everything.
    pub listener: TcpListener,
    /// What protects it.
    pub protection: Protection,
    /// For figures alone.
    pub metrics: Option<TcpListener>,
}

/// The door for everything.
struct Entrance {
    listener: TcpListener,
    protection: Arc<Protection>,
    admission: Admission,
}

async fn serve_connections(
    proxy: &Arc<Proxy>,
    entrance: Entrance,
    workers: Workers,
    mut stop: mpsc::Receiver<StopRequest>,
) {
    if let Some(state_dir) = proxy.state_dir() {
        // What an earlier proxy's agents left running. Nobody waits for it.
        let agents = proxy.live.current().agents.folder(&state_dir);
        drop(tokio::task::spawn_blocking(move || end_leftovers(&agents)));
    }
    let mut connections = ConnectionTracker::new(workers);
    let request = accept_until_stopped(proxy, &entrance, &connections, &mut stop).await;
    if request == Some(StopRequest::Drain) {
        leave(proxy, &entrance, &connections, &mut stop).await;
    }
    drop(entrance);
    if request == Some(StopRequest::HandOver) {
        hand_over(proxy, &connections, &mut stop).await;
    }
    drain(proxy, &mut connections, stop).await;
    proxy.endpoints().shutdown(AGENTS_STOP).await;
    connections.stop().await;
    proxy.memory.save();
    proxy.store.flush();
    proxy.keys.flush();
}

/// Accepts connections until there is a request to stop; `None` when nobody is left who could make one.
async fn accept_until_stopped(
    proxy: &Arc<Proxy>,
    entrance: &Entrance,
    connections: &ConnectionTracker,
    stop: &mut mpsc::Receiver<StopRequest>,
) -> Option<StopRequest> {
    let Entrance { listener, protection, admission } = entrance;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            request = stop.recv() => return request,
        };
        match accepted {
            Ok((stream, _)) if connections.count() >= MAX_CONNECTIONS => reject_busy(&stream),
            Ok((stream, peer)) => {
                // It is known to the poll of this thread, and is to be known to that of its worker.
                let Ok(stream) = stream.into_std() else { continue };
                let (admitted, displaced) = admission.admit(peer.ip());
                let (proxy, protection) = (Arc::clone(proxy), Arc::clone(protection));
                connections.spawn(move || connection(proxy, protection, stream, admitted, displaced));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(event = "accept.paused", error = %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells whoever asks whether latimer is ready that it is not, and serves everything as long as a load balancer may need to see it.
async fn leave(
    proxy: &Arc<Proxy>,
    entrance: &Entrance,
    connections: &ConnectionTracker,
    stop: &mut mpsc::Receiver<StopRequest>,
) {
    let delay = proxy.live.current().server.drain_delay;
    if delay.is_zero() {
        return;
    }
    proxy.enter(Phase::Leaving);
    tracing::info!(event = "drain.announced", turns = proxy.turns.open(), delay_s = delay.as_secs());
    // A second request to stop is in a hurry.
    let _ = tokio::time::timeout(delay, accept_until_stopped(proxy, entrance, connections, stop)).await;
}

/// One connection to its end, whatever becomes of it. `displaced` is told when another one takes its place.
async fn connection(
    proxy: Arc<Proxy>,
    protection: Arc<Protection>,
    stream: std::net::TcpStream,
    admitted: Admitted,
    mut displaced: oneshot::Receiver<()>,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(event = "connection.broken", error = %error),
    };
    let _ = stream.set_nodelay(true);
    let (port, local) = stream.local_addr().map_or((0, None), |address| (address.port(), Some(address.ip())));
    let peer = stream.peer_addr().ok().map(|address| address.ip());
    let origin = protection.origin(&stream);
    if origin == ConnectionOrigin::TrustedProxy {
        // All clients come from its address, and it bounds them itself.
        admitted.prove();
    }
    let accepted = tokio::select! {
        biased;
        accepted = protection.accept(stream) => accepted,
        Ok(()) = &mut displaced => None,
    };
    drop(protection);
    let Some(stream) = accepted else { return };
    let context =
        Arc::new(ConnectionContext { port, local, peer, origin, admitted, upgrade: UpgradeSlot::default() });
    let service = hyper::service::service_fn(|request| {
        let (proxy, context) = (Arc::clone(&proxy), Arc::clone(&context));
        async move { Ok::<_, Infallible>(dispatch::answer(&proxy, request, &context).await) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .half_close(false)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = until_draining(proxy.watch_phase()) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        Ok(()) = displaced => {
            tracing::debug!(event = "connection.displaced");
            return;
        }
    };
    // A client that leaves or speaks garbage is no event of ours.
    if let Err(error) = served {
        tracing::debug!(event = "connection.broken", error = %error);
    }
    if let Some(upgrade) = context.upgrade.take()
        && AssertUnwindSafe(upgrade.serve(Arc::clone(&proxy))).catch_unwind().await.is_err()
    {
        tracing::error!(event = "websocket.panicked");
    }
}

/// Answers what comes on the connections that are open, until they are closed or idle. A request to stop ends this.
async fn hand_over(proxy: &Proxy, connections: &ConnectionTracker, stop: &mut mpsc::Receiver<StopRequest>) {
    proxy.enter(Phase::HandingOver);
    tracing::info!(event = "handover.begin", turns = proxy.turns.open(), connections = connections.count());
    let begun = clock::now();
    while connections.count() > 0 {
        let idle = begun.elapsed().min(proxy.idle_for()) > HANDED_OVER_IDLE_TIMEOUT;
        if idle || begun.elapsed() > HANDED_OVER_TIMEOUT {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(HANDED_OVER_POLL_INTERVAL) => {}
            _ = stop.recv() => break,
        }
    }
    tracing::info!(event = "handover.end", turns = proxy.turns.open(), connections = connections.count());
}

/// Gives open turns the grace period of the configuration, and ends those that are left.
async fn drain(proxy: &Proxy, connections: &mut ConnectionTracker, mut stop: mpsc::Receiver<StopRequest>) {
    proxy.enter(Phase::Draining);
    let grace = proxy.live.current().server.grace;
    tracing::info!(event = "drain.begin", turns = proxy.turns.open(), grace_s = grace.as_secs());
    let closed = connections.closed();
    tokio::pin!(closed);
    let done = tokio::select! {
        () = &mut closed => true,
        () = tokio::time::sleep(grace) => false,
        _ = stop.recv() => tokio::time::timeout(FORCE_STOP_TIMEOUT, &mut closed).await.is_ok(),
    };
    if !done {
        proxy.enter(Phase::ForceStop);
        let _ = tokio::time::timeout(FORCE_STOP_TIMEOUT, closed).await;
    }
    tracing::info!(event = "drain.end", turns = proxy.turns.open());
}

/// Errors of one connection that say nothing about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// The response to one connection too many.
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 138\r\n\r\n{\"error\":{\"message\":\"latimer has too many connections open; try again\",\"type\":\"server_error\",\"param\":null,\"code\":\"server_is_overloaded\"}}\n";

/// Says "come back later" without reading a byte.
fn reject_busy(stream: &TcpStream) {
    let _ = stream.try_write(BUSY.as_bytes());
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::server::proxy::tests::proxy;

    #[test]
    fn the_busy_response_counts_its_bytes() {
        let (head, body) = BUSY.split_once("\r\n\r\n").expect("a head and a body");
        let stated = head.split_once("content-length: ").expect("stated").1;
        assert_eq!(stated.parse(), Ok(body.len()));
    }

    /// A proxy under way, and what stops it.
    async fn serving()
    -> (Arc<Proxy>, std::net::SocketAddr, mpsc::Sender<StopRequest>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, requests) = mpsc::channel(1);
        let proxy = proxy();
        let served = Arc::clone(&proxy);
        let task = tokio::spawn(async move { served.serve(listener, requests).await.expect("served") });
        (proxy, address, stop, task)
    }

    #[tokio::test]
    async fn a_request_to_stop_ends_serving() {
        let (proxy, address, stop, task) = serving().await;
        let mut client = TcpStream::connect(address).await.expect("connected");
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
        let mut head = [0; 15];
        client.read_exact(&mut head).await.expect("answered");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stop.send(StopRequest::Drain).await.expect("told");
        task.await.expect("no panic");
        assert_eq!(proxy.phase(), Phase::Draining, "an idle connection needs no force");
    }

    #[tokio::test]
    async fn handing_over_without_connections_ends_at_once() {
        let (proxy, _, stop, task) = serving().await;
        stop.send(StopRequest::HandOver).await.expect("told");
        task.await.expect("no panic");
        assert_eq!(proxy.phase(), Phase::Draining);
    }
}
