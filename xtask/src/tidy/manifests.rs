//! Arrows between crates: what each may import, ours and others'.

use anyhow::Context as _;

use crate::root;

/// What each crate may import. A new arrow and a new dependency are decisions, made here.
const ARROWS: [(&str, &[&str]); 8] = [
    ("crates/toolcall-parser", &["memchr", "nom"]),
    (
        "crates/protocol",
        &[
            "aho-corasick",
            "base64",
            "hmac",
            "itoa",
            "memchr",
            "serde",
            "serde_json",
            "sha2",
            "smallvec",
            "thiserror",
            "zeroize",
        ],
    ),
    ("crates/files", &["rustix", "tracing"]),
    (
        "crates/adapters",
        &[
            "latimer-files",
            "latimer-protocol",
            "toolcall-parser",
            "base64",
            "bytes",
            "flate2",
            "futures-util",
            "getrandom",
            "http-body-util",
            "httpdate",
            "hyper",
            "hyper-rustls",
            "hyper-util",
            "memchr",
            "rustix",
            "rustls",
            "rustls-native-certs",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "tokio",
            "toml",
            "tower-service",
            "tracing",
        ],
    ),
    (
        "crates/proxy",
        &[
            "latimer-adapters",
            "latimer-files",
            "latimer-protocol",
            "bytes",
            "croner",
            "deadpool-postgres",
            "flate2",
            "futures-util",
            "getrandom",
            "hmac",
            "http-body-util",
            "httpdate",
            "hyper",
            "hyper-util",
            "itoa",
            "jiff",
            "maud",
            "memchr",
            "prometheus-client",
            "ring",
            "rusqlite",
            "rustls",
            "rustls-native-certs",
            "ruzstd",
            "serde",
            "serde_json",
            "sha2",
            "strsim",
            "subtle",
            "thiserror",
            "tokio",
            "tokio-io-timeout",
            "tokio-postgres",
            "tokio-rustls",
            "tokio-tungstenite",
            "toml",
            "toml_edit",
            "tracing",
        ],
    ),
    (
        "crates/watchdog",
        &[
            "latimer-adapters",
            "latimer-files",
            "latimer-protocol",
            "bytes",
            "hyper",
            "memchr",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "toml",
            "tracing",
        ],
    ),
    (
        "crates/cli",
        &[
            "latimer-adapters",
            "latimer-files",
            "latimer-protocol",
            "latimer-proxy",
            "latimer-watchdog",
            "anyhow",
            "bytes",
            "clap",
            "clap_complete",
            "clap_mangen",
            "http-body-util",
            "hyper",
            "hyper-util",
            "listenfd",
            "rlimit",
            "rustix",
            "serde",
            "serde_json",
            "similar",
            "tikv-jemallocator",
            "tokio",
            "toml",
            "toml_edit",
            "tracing",
            "tracing-subscriber",
        ],
    ),
    ("xtask", &["anyhow", "clap", "proc-macro2", "rlimit", "serde_json", "sha2", "syn", "toml"]),
];

/// Checks every manifest against the table.
pub(super) fn check(faults: &mut Vec<String>) -> anyhow::Result<()> {
    for (folder, allowed) in ARROWS {
        let path = root().join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest: toml::Table = text.parse().with_context(|| format!("reading {}", path.display()))?;
        faults.extend(foreign(&manifest, allowed).map(|name| {
            format!("{folder}: imports {name}, and has no arrow to it (xtask/src/tidy/manifests.rs)")
        }));
    }
    for entry in std::fs::read_dir(root().join("crates"))? {
        let folder = format!("crates/{}", entry?.file_name().to_string_lossy());
        if !ARROWS.iter().any(|(known, _)| *known == folder) {
            faults.push(format!("{folder}: has no row in the table of arrows (xtask/src/tidy/manifests.rs)"));
        }
    }
    Ok(())
}

/// What a manifest imports and may not. Tests may import any tool, and of our crates what the crate itself may.
fn foreign<'m>(manifest: &'m toml::Table, allowed: &[&str]) -> impl Iterator<Item = &'m str> {
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    let kinds = [("dependencies", true), ("build-dependencies", true), ("dev-dependencies", false)];
    let imports = tables.flat_map(move |table| {
        kinds.into_iter().filter_map(move |(kind, all)| Some((table.get(kind)?.as_table()?, all)))
    });
    imports
        .flat_map(|(imports, all)| imports.keys().map(move |name| (name.as_str(), all)))
        .filter(|(name, all)| (*all || name.starts_with("latimer")) && !allowed.contains(name))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_import_is_an_arrow() {
        let manifest: toml::Table = "[dependencies]\nserde.workspace = true\ntokio = \"1\"\n[build-dependencies]\ncc = \"1\"\n\
            [dev-dependencies]\ninsta = \"1\"\nlatimer-proxy.workspace = true\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n"
            .parse()
            .expect("TOML");
        let mut names: Vec<&str> = foreign(&manifest, &["serde"]).collect();
        names.sort_unstable();
        assert_eq!(names, ["cc", "latimer-proxy", "libc", "tokio"]);
    }

    #[test]
    fn the_workspace_keeps_its_arrows() {
        let mut faults = Vec::new();
        check(&mut faults).expect("the manifests are readable");
        assert_eq!(faults, Vec::<String>::new());
    }
}
