//! A Unix socket that nobody else can connect to, from the first moment.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use crate::directory::open_parent;
use crate::owner::PRIVATE_FILE;

/// Connections that may wait until they are accepted.
const BACKLOG: i32 = 128;

/// Listens on a Unix socket of mode 0600. Where the system allows it (Linux), the mode is set before the socket has a name; its
/// folder, which nobody else can enter, stands for it elsewhere.
///
/// # Errors
/// Something stands in its place, its folder is a link, or the path is too long for a socket.
pub fn private_socket(path: &Path) -> io::Result<UnixListener> {
    drop(open_parent(path)?);
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let is_private = fchmod(&socket, Mode::from_raw_mode(PRIVATE_FILE)).is_ok();
    bind(&socket, &address)?;
    if !is_private {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(PRIVATE_FILE))?;
    }
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_is_private_and_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listener = private_socket(&path).expect("open");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let _client = UnixStream::connect(&path).expect("connected");
        listener.accept().expect("accepted");
        assert!(private_socket(&path).is_err(), "it is taken");
    }
}
