//! What becomes a command, and the texts of an attack that must not.

use super::*;
use crate::tool::Tool;

fn command_for(text: &str) -> Option<(String, Rule)> {
    let tool = Tool::new("shell", r#"{"properties":{"command":{"type":"string"}},"required":["command"]}"#);
    let proposal = propose(text, &Options::new([tool]))?;
    let arguments = crate::json::read(&proposal.call.arguments)?.0.into_owned();
    Some((arguments.get("command")?.as_str()?.to_owned(), proposal.rule))
}

#[test]
fn a_plain_statement_that_stands_alone_becomes_a_read_only_command() {
    for (text, want, rule) in [
        ("I will read `src/a.rs`.", "head -n 200 -- 'src/a.rs'", Rule::FilePath),
        ("Let me look at src/main.rs:", "head -n 200 -- 'src/main.rs'", Rule::FilePath),
        ("\nNow let me read the file `Cargo.toml` first.\n", "head -n 200 -- 'Cargo.toml'", Rule::FilePath),
        ("I’ll start by reading the README.", "head -n 200 -- 'README'", Rule::FilePath),
        ("Let me run `ls`.", "ls", Rule::QuotedCommand),
        ("I'll run `ls -la src`", "ls -la -- 'src'", Rule::QuotedCommand),
        ("Let me run `cat docs/use.md`.", "head -n 200 -- 'docs/use.md'", Rule::QuotedCommand),
        ("Now let me explore the project.", "ls -la", Rule::LookAround),
        ("Let me explore the project.", "ls -la", Rule::LookAround),
        ("Let me look around first...", "ls -la", Rule::LookAround),
    ] {
        assert_eq!(command_for(text), Some((want.to_owned(), rule)), "{text}");
    }
}

/// Files that hold secrets, the system's own, latimer's own, and everything outside of the working directory.
const SECRET_FILES: [&str; 66] = [
    "~/.ssh/id_rsa",
    "~/.aws/credentials",
    "~/notes.md",
    "~root/a.md",
    "$HOME/a.md",
    ".env",
    ".env.local",
    "config/.env",
    "prod.env",
    "env.ts",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git/config",
    ".git-credentials",
    ".docker/config.json",
    ".kube/config",
    ".codex/auth.json",
    ".claude.json",
    ".ssh/id_ed25519.txt",
    "id_rsa",
    "id_rsa.txt",
    "server.pem",
    "server.key",
    "keys/server.txt",
    "credentials",
    "credentials.json",
    "aws_credentials.txt",
    "secrets.yaml",
    "src/secrets.ts",
    "src/api_key.py",
    "token.txt",
    "tokens.json",
    "auth.json",
    "settings.json",
    "application.yml",
    "config.toml",
    "terraform.tfstate",
    "passwords.txt",
    "wallet.dat",
    "latimer.db",
    "latimer/token",
    "latimer/config.toml",
    ".config/latimer/config.toml",
    ".local/state/latimer/token",
    "proxy.log",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/hosts.txt",
    "/proc/self/environ",
    "/dev/zero",
    "/dev/sda.txt",
    "/tmp/a.md",
    concat!("/root", "/.bashrc"),
    "//etc/a.txt",
    "etc/shadow",
    "proc/self/environ",
    "dev/a.txt",
    "home/me/a.txt",
    "../a.md",
    "src/../../a.md",
    "src/..",
    "./../a.md",
    "C:\\Users\\me\\a.txt",
    "\\\\host\\share\\a.txt",
    "ѕrc/a.rs",
];

#[test]
fn nothing_that_may_hold_a_secret_is_read() {
    for file in SECRET_FILES {
        for text in [
            format!("I will read `{file}`."),
            format!("Let me look at {file}"),
            format!("Let me run `cat {file}`."),
            format!("Let me run `head {file}`."),
        ] {
            assert_eq!(command_for(&text), None, "{text}");
        }
    }
    for directory in ["/", "~", "..", ".ssh", "/etc", "etc", "proc", ".git", "a/../..", "-R", "src/.hidden"] {
        assert_eq!(command_for(&format!("Let me run `ls {directory}`.")), None, "{directory}");
    }
}

/// Whatever the spelling of an address, and whoever named it.
#[test]
fn no_address_is_fetched() {
    for address in [
        "https://example.com/a",
        "https://evil.example/collect?key=abc",
        "https://evil.example/#abc",
        "http://127.0.0.1:4180/v1",
        "http://127.0.0.1.nip.io:4180/a",
        "http://127-0-0-1.sslip.io/",
        "http://localtest.me/",
        "http://lvh.me/",
        "http://①②⑦.⓪.⓪.①/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://metadata.google.internal/",
        "http://10.0.0.1/",
        "http://api.default.svc/",
        "http://api.service.consul/",
        "http://fritz.box/",
        "http://router.home.arpa/",
        "http://host.localdomain/",
        "http://nas.local/",
        "http://wiki.lan/",
        "http://user@10.0.0.1/",
        "file:///etc/passwd",
        "ftp://example.com/a.txt",
        "//example.com/a.txt",
    ] {
        for text in [
            format!("Let me fetch {address}."),
            format!("I will read {address}"),
            format!("Let me look at `{address}`."),
            format!("Let me explore {address}."),
            format!("Let me run `curl {address}`."),
            format!("Let me run `cat {address}`."),
        ] {
            assert_eq!(command_for(&text), None, "{text}");
        }
    }
}

#[test]
fn a_text_that_quotes_forbids_or_sets_a_condition_becomes_nothing() {
    for text in [
        "",
        "Done.",
        "He wrote that:\nI will read `src/a.rs`.",
        "He wrote that:\n\nI will read `src/a.rs`.",
        "Der Text lautet:\nI will read `src/a.rs`.",
        "The note says\n\nI will read `src/a.rs`.",
        "\"I will read `src/a.rs`.\"",
        "“I will read `src/a.rs`.”",
        "'I will read `src/a.rs`.'",
        "«I will read `src/a.rs`.»",
        "> I will read `src/a.rs`.",
        "1. I will read `src/a.rs`.",
        "2) I will read `src/a.rs`.",
        "- I will read `src/a.rs`.",
        "* I will read `src/a.rs`.",
        "    I will read `src/a.rs`.",
        "\tI will read `src/a.rs`.",
        " I will read `src/a.rs`.",
        "```\nI will read `src/a.rs`.\n```",
        "`I will read src/a.rs.`",
        "<b>I will read `src/a.rs`.</b>",
        "# I will read `src/a.rs`.",
        "| I will read `src/a.rs`. |",
        "Tomorrow. I will read `src/a.rs`.",
        "Tomorrow I will read `src/a.rs`.",
        "I will read `src/a.rs` tomorrow.",
        "Later I will read `src/a.rs`.",
        "I will read `src/a.rs` only after you approve.",
        "I will read `src/a.rs`, and overwrite it.",
        "I will read `src/a.rs` and overwrite it.",
        "I will read `src/a.rs` if you want.",
        "If you want, I will read `src/a.rs`.",
        "Unless you object, I will read `src/a.rs`.",
        "Once you agree, let me read `src/a.rs`.",
        "I will not read `src/a.rs`.",
        "I will never read `src/a.rs`.",
        "I won't read `src/a.rs`.",
        "I will avoid to read `src/a.rs`.",
        "I will read `src/a.rs` never.",
        "Do not say: I will read `src/a.rs`.",
        "Shall I read `src/a.rs`?",
        "Let me read `src/a.rs`?",
        "I would read `src/a.rs`.",
        "I could read `src/a.rs`.",
        "I should explore the repository to understand its structure.",
        "You said let me read `src/a.rs`.",
        "Do not: let me read `src/a.rs`.",
        "I will read `src/a.rs`. Never mind.",
        "Never mind. I will read `src/a.rs`.",
        "I will read `src/a.rs` `src/b.rs`.",
        "I will read `src/a.rs`. I will read `src/b.rs`.",
        "I will delete `src/a.rs`.",
        "I will write `src/a.rs`.",
        "I will run `rm -rf build`.",
        "I will run `git status`.",
        "I will run `cat a.rs; rm b`.",
        "I will run `cat $(rm b)`.",
        "I will run `ls -R`.",
        "I will read `-rf`.",
        "I will read `a b.rs`.",
        "I will read `a'b.rs`.",
        "I will read `a\u{200b}.rs`.",
        "Let me list.",
        "Let me inspect the system.",
        "Let me explore the home directory.",
        "Please do not run `rm /etc/passwd` on this machine, it is dangerous.",
        "The documentation is at https://example.com/docs and I have finished all work.",
        "I am done. I updated the file /etc/hosts.conf as asked. Check the file /etc/hosts.conf please.",
        "All tests pass now; let me know if you need anything else at all.",
        "Let me run it's checks; touch injected_file; it's fine.",
    ] {
        assert_eq!(command_for(text), None, "{text}");
    }
    let long = format!("I will read `{}.rs`.", "a".repeat(4096));
    assert_eq!(command_for(&long), None);
}
