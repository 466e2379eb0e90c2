//! Taking a lock, whether or not somebody panicked while holding it.
//!
//! A panic in one turn must not take the others along: the data behind the locks of this crate is valid after every statement, so
//! a poisoned lock is as good as any other.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Takes a mutex. Blocks the thread; never held across an `await`.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock for reading. Blocks the thread; never held across an `await`.
pub(crate) fn read<T: ?Sized>(rw_lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    rw_lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock for writing. Blocks the thread; never held across an `await`.
pub(crate) fn write<T: ?Sized>(rw_lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    rw_lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_under_a_lock_leaves_it_usable() {
        let (mutex, rw_lock) = (Mutex::new(1), RwLock::new(2));
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _held = (lock(&mutex), write(&rw_lock));
                panic!("while both are held");
            });
            holder.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned() && rw_lock.is_poisoned());
        *lock(&mutex) += 1;
        *write(&rw_lock) += 1;
        assert_eq!((*lock(&mutex), *read(&rw_lock)), (2, 3));
    }
}
