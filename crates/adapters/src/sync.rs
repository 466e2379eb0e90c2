//! Locks that are held for a few instructions, never over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. What a thread that panicked left behind is used as it is: every value kept so is valid after each statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_lock_opens() {
        let mutex = Mutex::new(1);
        std::thread::scope(|scope| {
            let broken = scope.spawn(|| {
                let _guard = mutex.lock();
                panic!("while it is locked");
            });
            assert!(broken.join().is_err());
        });
        assert_eq!(*lock(&mutex), 1);
    }
}
