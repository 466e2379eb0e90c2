//! The listening socket: bound once, held for life, handed to each proxy. While no proxy is ready, connections wait in the
//! kernel's queue, and nobody is refused.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::process::Identity;

/// The descriptor under which a proxy gets the socket: standard input, the one descriptor that a child inherits without unsafe
/// code. `LISTEN_FDS_FIRST_FD` says so to it.
pub const CHILD_DESCRIPTOR: i32 = 0;

/// Why we do not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken.
    #[error("{address} is already in use{}", by(.owner.as_ref()))]
    Taken {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// The process id and the name of who listens there, where the system tells.
        owner: Option<(u32, String)>,
    },
    /// Anything else: no right to the port, no such address.
    #[error("listening on {address}")]
    Io {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn by(owner: Option<&(u32, String)>) -> String {
    owner.map_or_else(String::new, |(pid, name)| format!(" by `{name}` (process {pid})"))
}

/// Binds the address. The listener does not block, and neither do its copies.
///
/// # Errors
///
/// See [`BindError`]; one that is taken says by whom, where the system tells.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        // The flag belongs to the socket, so every proxy that gets it finds it set.
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::Taken { address, owner: owner(address) }
        } else {
            BindError::Io { address, source }
        }
    })
}

/// Gets the socket back from a proxy that outlived its watchdog, so that not even then a client is refused. `None` where the
/// system does not allow it (it takes a kernel of 2020 and the right to trace the process).
#[cfg(target_os = "linux")]
pub fn take_back(proxy: Identity, address: SocketAddr) -> Option<TcpListener> {
    use rustix::process::{ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let pid = Pid::from_raw(i32::try_from(proxy.pid).ok()?)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Checked after the handle is open: from here on the id cannot become another process's.
    if !proxy.is_alive() {
        return None;
    }
    let descriptor =
        pidfd_getfd(&handle, ForeignRawFd::from(CHILD_DESCRIPTOR), PidfdGetfdFlags::empty()).ok()?;
    if !rustix::net::sockopt::socket_acceptconn(&descriptor).ok()? {
        return None;
    }
    let listener = TcpListener::from(descriptor);
    (listener.local_addr().ok()? == address).then_some(listener)
}

/// There is no safe way to get it here.
#[cfg(not(target_os = "linux"))]
pub fn take_back(_proxy: Identity, _address: SocketAddr) -> Option<TcpListener> {
    None
}

/// Who listens on this address: process id and name. Only processes of the same user are seen.
#[cfg(target_os = "linux")]
pub fn owner(address: SocketAddr) -> Option<(u32, String)> {
    let inode = listening_inode(address)?;
    let wanted = format!("socket:[{inode}]");
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(descriptors) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy() == wanted));
        if holds {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// Not known without a tool of the system's.
#[cfg(not(target_os = "linux"))]
pub fn owner(_address: SocketAddr) -> Option<(u32, String)> {
    None
}

/// The inode of the listening socket, from the kernel's table.
#[cfg(target_os = "linux")]
fn listening_inode(address: SocketAddr) -> Option<u64> {
    const LISTEN: &str = "0A";
    let table = if address.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let port = format!(":{:04X}", address.port());
    let text = std::fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTEN;
        if listens { fields.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_owner() {
        let held = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = held.local_addr().expect("an address");
        let Err(BindError::Taken { owner, .. }) = bind(address) else { panic!("bound twice") };
        if cfg!(target_os = "linux") {
            assert_eq!(owner.expect("known").0, std::process::id());
        }
    }

    #[test]
    fn only_a_listening_socket_is_taken_back() {
        let me = Identity::me().expect("alive");
        // Standard input of a test is no listener.
        assert!(take_back(me, SocketAddr::from(([127, 0, 0, 1], 1))).is_none());
    }
}
