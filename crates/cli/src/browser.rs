//! Opening an address in the person's browser. The address came from outside: it is looked at before it is handed on.

use std::process::{Command, Stdio};

use crate::environment::env;
use crate::terminal::eprint_line;

/// What a browser needs of the environment: no key of any provider is among it.
const BROWSER_VARIABLES: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "BROWSER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// Opens the browser where there is a screen. The address is printed anyway.
pub(crate) fn open(url: &str) {
    let is_mac = cfg!(target_os = "macos");
    let has_screen = is_mac || env("DISPLAY").is_some() || env("WAYLAND_DISPLAY").is_some();
    if !has_screen || !is_web_address(url) {
        return;
    }
    let mut command = Command::new(if is_mac { "open" } else { "xdg-open" });
    command.arg(url).env_clear();
    command.envs(BROWSER_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if command.spawn().is_err() {
        eprint_line("no browser could be opened; open the address by hand");
    }
}

/// Something else could be a file, a program or an option.
fn is_web_address(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::is_web_address;

    #[test]
    fn only_web_addresses_are_opened() {
        assert!(is_web_address("https://a.test/x?y=1"));
        for url in ["-version", "file:///etc/passwd", "javascript:x", "https://a.test/ x", ""] {
            assert!(!is_web_address(url), "{url}");
        }
    }
}
