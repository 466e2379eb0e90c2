//! K21: Claude Code is told the window of its model.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{folder, latimer_in, output, serve};

/// What a stand-in for Claude Code finds in its environment.
fn environment(models: &str, model: &str) -> String {
    let dir = folder("k21");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = {models}\n"
    );
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    let (mut proxy, _) = serve(&dir, &[]);
    let program = dir.join("claude");
    std::fs::write(&program, "#!/bin/sh\nenv\n").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let program = program.to_str().expect("text");
    let mut command = latimer_in(&dir, &["launch", "claude", "--model", model, "--program", program]);
    for name in
        ["CLAUDE_CODE_MAX_CONTEXT_TOKENS", "CLAUDE_CODE_AUTO_COMPACT_WINDOW", "CLAUDE_CODE_MAX_OUTPUT_TOKENS"]
    {
        command.env_remove(name);
    }
    let run = output(&mut command);
    let _ = proxy.kill();
    let _ = proxy.wait();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    said
}

#[test]
fn windows_small_and_large_are_told_with_a_cap_below_them() {
    let models = "[{ id = \"small-one\", context_window = 32768 }, { id = \"large\", context_window = 1000000 }, \"unknown\"]";
    for (model, window, cap) in [("small-one", 32_768, 8_192), ("lab/large", 1_000_000, 32_000)] {
        let told = environment(models, model);
        for (name, value) in [
            ("CLAUDE_CODE_MAX_CONTEXT_TOKENS", window),
            ("CLAUDE_CODE_AUTO_COMPACT_WINDOW", window),
            ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", cap),
        ] {
            assert!(told.lines().any(|line| line == format!("{name}={value}")), "{name} in {told}");
        }
    }
    assert!(!environment(models, "unknown").contains("CLAUDE_CODE_MAX_CONTEXT_TOKENS"));
}
