//! Threads that carry turns. What a turn uses all the time belongs to its thread, so that nothing that happens to it wakes another core.

use std::cell::Cell;
use std::sync::OnceLock;

/// The most workers of a process.
pub const MAX_WORKERS: usize = 32;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// Makes the calling thread the worker of this number, counted from 0. A thread that says nothing is number 0.
pub fn enter(number: usize) {
    WORKER.set(number % MAX_WORKERS);
}

/// The number of the calling thread.
fn current() -> usize {
    WORKER.get()
}

/// One value for each worker, made when the worker first needs it.
#[derive(Debug)]
pub(super) struct PerWorker<T> {
    values: [OnceLock<Box<T>>; MAX_WORKERS],
}

impl<T> Default for PerWorker<T> {
    fn default() -> Self {
        Self { values: [const { OnceLock::new() }; MAX_WORKERS] }
    }
}

impl<T> PerWorker<T> {
    /// The calling thread's value.
    pub(super) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        // `enter` keeps the number below the length.
        self.values[current() % MAX_WORKERS].get_or_init(|| Box::new(make()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_value_of_its_own_and_keeps_it() {
        let values = PerWorker::default();
        let of = |number: usize| {
            let values = &values;
            std::thread::scope(|scope| {
                let thread = scope.spawn(move || {
                    enter(number);
                    *values.get_or_init(|| number)
                });
                thread.join().expect("no panic")
            })
        };
        assert_eq!([of(1), of(2), of(1), of(MAX_WORKERS)], [1, 2, 1, MAX_WORKERS]);
        assert_eq!(*values.get_or_init(|| 7), MAX_WORKERS, "a thread that says nothing is number 0");
    }
}
