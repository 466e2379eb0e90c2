//! Private files: what latimer keeps on disk belongs to one person, is readable by nobody else from the first moment, and is never
//! reached through a symbolic link.
//!
//! Proxy, watchdog and command line have no other way to the state directory. A wrong mode is repaired where the file is ours, and
//! what belongs to somebody else is refused. Everything is checked after it is open (`fstat`), so that nobody can exchange it in
//! between. Folders on the way to the state directory are the person's own affair; below it no link is followed.

mod directory;
mod file;
mod lock;
mod openness;
mod owner;
mod socket;

pub use directory::{prepare, prepare_root};
pub use file::{append, create_new, is_private, open, open_as_it_is, open_repaired, read, write};
pub use lock::{FileLock, TryLock};
pub use openness::open_to_others;
pub use socket::private_socket;
