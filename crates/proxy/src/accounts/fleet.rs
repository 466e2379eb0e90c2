//! Other nodes that use the same accounts: one of them refreshes a token, and all have it then. A refresh token may be good for one
//! use only.

use std::future::Future;
use std::pin::Pin;

/// Something that other nodes are asked.
pub type FleetFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// As long as it lives, no other node refreshes the account.
pub type FleetLease = Box<dyn Send + Sync>;

/// What nodes that use the same accounts ask each other.
pub trait Fleet: Send + Sync {
    /// Takes an account for this node alone, waiting for whoever has it.
    ///
    /// # Errors
    /// Nobody can say whether another node refreshes it at the moment: a sentence.
    fn take<'f>(&'f self, account: &'f str) -> FleetFuture<'f, Result<FleetLease, String>>;

    /// What another node kept of the account; `None` where nobody did.
    fn newest<'f>(&'f self, account: &'f str) -> FleetFuture<'f, Option<Vec<u8>>>;

    /// Keeps the account for all nodes, sealed; true once it is there.
    fn keep<'f>(&'f self, account: &'f str, tokens: Vec<u8>) -> FleetFuture<'f, bool>;
}
