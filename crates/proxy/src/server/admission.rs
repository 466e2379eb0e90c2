//! Connections that have not shown the token yet: few of them at once from one address, whatever they send.
//!
//! A connection without a request costs little, but ten thousand of them cost memory, and shut everybody else out. So each address has
//! a place for [`MAX_UNPROVEN`] of them; one more takes the place of the one that has waited longest.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::sync::lock;

/// Connections of one address at once that have not shown the token.
const MAX_UNPROVEN: usize = 256;

/// Whom each address waits with: the numbers of the connections, the oldest first.
#[derive(Default)]
struct Waiting {
    last_number: u64,
    by_address: HashMap<IpAddr, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// Knows the connections that have not shown the token.
#[derive(Clone, Default)]
pub(super) struct Admission(Arc<Mutex<Waiting>>);

impl Admission {
    /// Lets a connection of this address in; what comes back is told when another one takes its place.
    pub(super) fn admit(&self, address: IpAddr) -> (Admitted, oneshot::Receiver<()>) {
        let (sender, displaced) = oneshot::channel();
        let mut waiting = lock(&self.0);
        waiting.last_number = waiting.last_number.wrapping_add(1);
        let number = waiting.last_number;
        let queue = waiting.by_address.entry(address).or_default();
        queue.push_back((number, sender));
        if queue.len() > MAX_UNPROVEN {
            // Dropping the sender would look like a proof.
            if let Some((_, oldest)) = queue.pop_front() {
                let _ = oldest.send(());
            }
        }
        drop(waiting);
        (Admitted { admission: self.clone(), address, number, is_proven: AtomicBool::new(false) }, displaced)
    }

    fn remove(&self, address: IpAddr, number: u64) {
        let mut waiting = lock(&self.0);
        if let Some(queue) = waiting.by_address.get_mut(&address) {
            queue.retain(|(known, _)| *known != number);
            if queue.is_empty() {
                waiting.by_address.remove(&address);
            }
        }
    }
}

/// One connection's place; given up when it shows the token or ends.
pub(super) struct Admitted {
    admission: Admission,
    address: IpAddr,
    number: u64,
    is_proven: AtomicBool,
}

impl Admitted {
    /// The connection showed the token: from now on it counts among the open ones only.
    pub(super) fn prove(&self) {
        if !self.is_proven.swap(true, Ordering::Relaxed) {
            self.admission.remove(self.address, self.number);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.prove();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use oneshot::error::TryRecvError;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn one_too_many_takes_the_place_of_the_oldest_of_its_address() {
        let admission = Admission::default();
        let (_stranger, mut elsewhere) = admission.admit(THERE);
        let mut admitted: Vec<_> = (0..MAX_UNPROVEN).map(|_| admission.admit(HERE)).collect();
        assert!(admitted.iter_mut().all(|(_, displaced)| displaced.try_recv() == Err(TryRecvError::Empty)));
        let (_newest, mut newest) = admission.admit(HERE);
        assert_eq!(admitted[0].1.try_recv(), Ok(()));
        assert_eq!(admitted[1].1.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(newest.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(elsewhere.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn one_that_showed_the_token_is_never_displaced() {
        let admission = Admission::default();
        let (proven, mut displaced) = admission.admit(HERE);
        proven.prove();
        let _others: Vec<_> = (0..=MAX_UNPROVEN).map(|_| admission.admit(HERE)).collect();
        assert_eq!(displaced.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn nothing_is_kept_of_a_connection_that_ended() {
        let admission = Admission::default();
        drop(admission.admit(HERE));
        assert!(lock(&admission.0).by_address.is_empty());
    }
}
