//! The threads that carry connections. Each has a runtime of its own, and a connection stays where it was put: its turns, and the connections
//! to providers that they use, never wake another core.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use latimer_adapters::transport::worker::{self, MAX_WORKERS};
use tokio::sync::mpsc;

use super::proxy::Proxy;

/// More cores than these are used only where the configuration says so: beyond, what is shared costs more than a core brings.
const MAX_DEFAULT_WORKERS: usize = 8;

/// Starts a connection on the runtime of the thread that calls it.
type Start = Box<dyn FnOnce() + Send>;

/// All workers. The first is the runtime that accepts.
pub(super) struct Workers {
    first: Load,
    others: Vec<Worker>,
}

/// A thread with a runtime. It ends when the sender is dropped.
struct Worker {
    load: Load,
    starts: mpsc::UnboundedSender<Start>,
    thread: JoinHandle<()>,
}

/// How many connections a worker has.
#[derive(Clone, Default)]
struct Load(Arc<AtomicUsize>);

/// A connection counts as long as this lives.
struct Place(Load);

impl Load {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self) -> Place {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many workers there are to be: as many as the configuration says, else one for each core, at most eight.
pub(super) fn wanted(configured: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MAX_DEFAULT_WORKERS);
    configured.unwrap_or_else(cores).clamp(1, MAX_WORKERS)
}

impl Workers {
    /// Starts one thread less than `count`.
    ///
    /// # Errors
    /// The system refuses a thread or a runtime.
    pub(super) fn start(proxy: &Arc<Proxy>, count: usize) -> io::Result<Self> {
        worker::enter(0);
        let others =
            (1..count).map(|number| Worker::start(proxy, number)).collect::<io::Result<Vec<Worker>>>()?;
        Ok(Self { first: Load::default(), others })
    }

    /// Puts a connection on the worker with the fewest, and runs it there to its end. `make` is called on that worker's thread. Of
    /// equals the first is taken: who makes one request after the other finds the same open connections to the provider.
    pub(super) fn spawn<F>(&self, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let least = self.others.iter().min_by_key(|worker| worker.load.get());
        let chosen = least.filter(|worker| worker.load.get() < self.first.get());
        let place = chosen.map_or(&self.first, |worker| &worker.load).take();
        let start = move || {
            let connection = make();
            tokio::spawn(async move {
                connection.await;
                drop(place);
            });
        };
        match chosen {
            None => start(),
            Some(worker) => {
                // A thread that is gone leaves its connections to the first one.
                if let Err(mpsc::error::SendError(start)) = worker.starts.send(Box::new(start)) {
                    start();
                }
            }
        }
    }

    /// Ends the threads and what still runs on them, and waits for that.
    pub(super) async fn stop(self) {
        let threads: Vec<_> = self.others.into_iter().map(|worker| worker.thread).collect();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!(event = "worker.panicked");
                }
            }
        });
        let _ = joined.await;
    }
}

impl Worker {
    fn start(proxy: &Arc<Proxy>, number: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (starts, mut arrivals) = mpsc::unbounded_channel::<Start>();
        let proxy = Arc::clone(proxy);
        let run = move || {
            worker::enter(number);
            runtime.block_on(async {
                let carry = async {
                    while let Some(start) = arrivals.recv().await {
                        start();
                    }
                };
                tokio::select! {
                    () = carry => {}
                    () = proxy.lag.measure() => {}
                }
            });
            // Connections that are left end here; work that blocks is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
        Ok(Self { load: Load::default(), starts, thread })
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use tokio::sync::oneshot;

    use super::*;
    use crate::server::proxy::tests::proxy;

    /// Puts a connection on a worker: where it runs, and what ends it.
    async fn connect(workers: &Workers) -> (ThreadId, oneshot::Sender<()>) {
        let (end, ended) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        workers.spawn(move || async move {
            let _ = tell.send(std::thread::current().id());
            let _ = ended.await;
        });
        (told.await.expect("it runs"), end)
    }

    #[tokio::test]
    async fn connections_are_spread_and_one_after_the_other_stays_on_the_first() {
        let workers = Workers::start(&proxy(), 3).expect("threads");
        let here = std::thread::current().id();
        let (first, end_first) = connect(&workers).await;
        let (second, _end_second) = connect(&workers).await;
        let (third, _end_third) = connect(&workers).await;
        assert_eq!(first, here);
        assert!(second != here && third != here && second != third, "each has one");
        drop(end_first);
        while workers.first.get() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(connect(&workers).await.0, here, "the first has none, the others have one");
        workers.stop().await;
    }

    #[tokio::test]
    async fn stopping_ends_what_still_runs() {
        let workers = Workers::start(&proxy(), 2).expect("threads");
        let (_, _end_first) = connect(&workers).await;
        let (_, mut end) = connect(&workers).await;
        workers.stop().await;
        end.closed().await;
    }

    #[test]
    fn the_number_is_the_configured_one_within_bounds() {
        assert_eq!([wanted(Some(1)), wanted(Some(5)), wanted(Some(1000))], [1, 5, MAX_WORKERS]);
        assert!((1..=MAX_DEFAULT_WORKERS).contains(&wanted(None)));
    }
}
