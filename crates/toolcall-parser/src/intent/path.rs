//! Which paths a command that nobody wrote may name: below the working directory, plain, and of files that hold no secrets by rule.
//!
//! The rule allows and does not forbid: what it does not know is not read. The names that it forbids besides are for files of an
//! allowed kind.

/// The longest path, in bytes.
const MAX_BYTES: usize = 256;
/// Kinds of files that are sources or prose. Formats of settings are not among them: settings hold keys.
const SOURCES: [&str; 56] = [
    "adoc", "asm", "astro", "bas", "bat", "c", "cc", "clj", "cljs", "cmake", "cpp", "cs", "css", "cxx",
    "dart", "elm", "erl", "ex", "exs", "f90", "fs", "go", "graphql", "groovy", "h", "hpp", "hs", "html",
    "java", "jl", "js", "jsx", "kt", "less", "lua", "md", "mjs", "ml", "nim", "pl", "proto", "py", "r", "rb",
    "rs", "rst", "scala", "scss", "sql", "svelte", "swift", "ts", "tsx", "txt", "vue", "zig",
];
/// Files of other kinds, or of none, that hold no secrets by convention.
const FILES: [&str; 21] = [
    "authors",
    "build.gradle",
    "cargo.toml",
    "changelog",
    "cmakelists.txt",
    "composer.json",
    "contributing",
    "dockerfile",
    "gemfile",
    "go.mod",
    "justfile",
    "license",
    "makefile",
    "notice",
    "package.json",
    "pom.xml",
    "pyproject.toml",
    "readme",
    "rust-toolchain.toml",
    "tox.ini",
    "tsconfig.json",
];
/// Parts of names that files with secrets have, whatever their kind.
const SECRETS: [&str; 19] = [
    "apikey",
    "bearer",
    "cookie",
    "credential",
    "htpasswd",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "keychain",
    "keyring",
    "keystore",
    "latimer",
    "netrc",
    "passphrase",
    "passw",
    "secret",
    "shadow",
    "wallet",
];
/// More of them, that count only as a whole word of a name.
const SECRET_WORDS: [&str; 13] = [
    "auth", "cert", "certs", "creds", "env", "key", "keys", "oauth", "pass", "private", "pwd", "token",
    "tokens",
];
/// Directories of the system and of accounts: the working directory may be the root or a home.
const SYSTEM: [&str; 21] = [
    "appdata",
    "boot",
    "dev",
    "etc",
    "home",
    "library",
    "lost+found",
    "media",
    "mnt",
    "opt",
    "private",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "tmp",
    "users",
    "usr",
    "var",
    "volumes",
];

/// A relative path of plain components; none of them hidden, and none that could lead out or hold secrets.
pub(super) fn is_below(path: &str) -> bool {
    if path.is_empty() || path.len() > MAX_BYTES {
        return false;
    }
    let lower = path.to_ascii_lowercase();
    let mut components = lower.split('/');
    let first = components.clone().next().unwrap_or_default();
    !SYSTEM.contains(&first) && components.all(is_component)
}

/// The same, and a file of a kind that is read.
pub(super) fn is_readable(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    let source =
        name.rsplit_once('.').is_some_and(|(stem, kind)| !stem.is_empty() && SOURCES.contains(&kind));
    is_below(path) && (source || FILES.contains(&name))
}

fn is_component(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    // A hidden name, `.`, `..`, and what a program would read as an option.
    let ordinary = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && !name.contains("..");
    let secret = SECRETS.iter().any(|part| name.contains(part));
    let word = name.split(['.', '_', '-', '+']).any(|word| SECRET_WORDS.contains(&word));
    ordinary && name.chars().all(plain) && !secret && !word
}
