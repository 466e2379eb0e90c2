//! A port for a proxy where somebody else holds the usual one.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;

/// How many ports behind the usual one are tried before the system chooses.
const MAX_TRIES: u16 = 50;

/// Whether somebody could listen there now.
pub(crate) fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// The first free port behind this one on the same address, else any.
///
/// # Errors
/// The address is none of this machine's.
pub(crate) fn next_free(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let near = (1..=MAX_TRIES).filter_map(|step| address.port().checked_add(step));
    let mut near = near.map(|port| SocketAddr::new(address.ip(), port));
    if let Some(free) = near.find(|address| is_free(*address)) {
        return Ok(free);
    }
    let any = TcpListener::bind(SocketAddr::new(address.ip(), 0));
    any.and_then(|listener| listener.local_addr())
        .with_context(|| format!("no port of {} is free", address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_port_is_taken_where_this_one_is_held() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let held = holder.local_addr().expect("an address");
        assert!(!is_free(held));
        let free = next_free(held).expect("a free one");
        assert!(free.port() != held.port() && free.ip() == held.ip());
        assert!(next_free(SocketAddr::from(([127, 0, 0, 1], u16::MAX))).expect("any").port() > 0);
    }
}
