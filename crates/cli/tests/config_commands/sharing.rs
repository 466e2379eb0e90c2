//! A configuration for others: without keys out, with a look at it in.

use super::{FILE, config_text, home, run, run_with};

const PROFILED: &str = "[[profile]]\nname = \"cheap\"\nendpoint = \"a\"\nmodel = \"one\"\neffort = \"low\"\n";

#[test]
fn what_is_exported_holds_no_key_and_is_taken_up_elsewhere() {
    let from = home("export", &format!("{FILE}{PROFILED}"));
    let file = from.join("team.toml");
    let path = file.to_str().expect("text");
    let (code, text) = run(&from, &["config", "export", path]);
    assert!(
        code == 0 && text.contains("names the variable A_API_KEY instead") && !text.contains("numbat"),
        "{text}"
    );
    let exported = std::fs::read_to_string(&file).expect("exported");
    assert!(!exported.contains("numbat") && !exported.contains("grace"), "{exported}");
    let (code, text) = run(&from, &["config", "export", path]);
    assert!(code == 1 && text.contains("there already"), "{text}");

    let to = home("import", "# theirs\n");
    let (code, text) = run_with(&to, &["config", "import", path], "n\n");
    assert!(code == 1 && text.contains("+ name = \"cheap\"") && config_text(&to) == "# theirs\n", "{text}");
    assert!(
        text.contains("b sends your conversations and the value of DEEPSEEK_API_KEY to api.deepseek.com"),
        "{text}"
    );
    let (code, text) = run_with(&to, &["config", "import", path], "y\n");
    assert_eq!(code, 0, "{text}");
    assert!(
        config_text(&to).starts_with("# theirs\n") && config_text(&to).contains("A_API_KEY"),
        "{}",
        config_text(&to)
    );
    assert_eq!(run(&to, &["config", "get", "profile.cheap.effort"]), (0, "low\n".to_owned()));
    // The same once more changes nothing.
    let (code, text) = run(&to, &["config", "import", path, "--yes"]);
    assert!(code == 0 && text.contains("nothing changes"), "{text}");
    assert_eq!(run(&to, &["config", "set", "endpoint.a.retries", "1"]).0, 0);
    let (code, text) = run(&to, &["config", "import", path, "--yes"]);
    assert!(code == 1 && text.contains("--replace"), "{text}");
    assert_eq!(run(&to, &["config", "import", path, "--yes", "--replace"]).0, 0);
    assert!(!config_text(&to).contains("retries"), "{}", config_text(&to));
}

#[test]
fn one_profile_goes_out_with_its_endpoint_alone() {
    let from = home("profile", &format!("{FILE}{PROFILED}"));
    let (code, text) = run(&from, &["config", "export", "--profile", "cheap"]);
    assert!(
        code == 0 && text.contains("name = \"a\"") && !text.contains("deepseek") && !text.contains("numbat"),
        "{text}"
    );
    let to = home("piped", "");
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("a: ")).collect();
    let exported = kept.join(
        "
",
    );
    let (code, text) = run_with(&to, &["config", "import", "-"], &exported);
    assert!(code == 1 && text.contains("--yes") && config_text(&to).is_empty(), "{text}");
    let (code, text) = run_with(&to, &["config", "import", "-", "--yes"], &exported);
    assert_eq!(code, 0, "{text}");
    assert_eq!(run(&to, &["config", "get", "profile.cheap.model"]), (0, "one\n".to_owned()));
    let (code, text) = run(&from, &["config", "export", "--profile", "dear"]);
    assert!(code == 1 && text.contains("there are: cheap"), "{text}");
}

#[test]
fn a_hostile_file_brings_nothing_in() {
    let home = home("thief", FILE);
    for text in [
        "[server]\nauth = \"none\"\n",
        "launch_env = [\"AWS_SECRET_ACCESS_KEY\"]\n",
        "[[endpoint]]\nname = \"t\"\nbase_url = \"https://thief.test\"\napi_key_file = \"/etc/passwd\"\n",
        "[[endpoint]]\nname = \"t\"\nbase_url = \"https://thief.test\"\napi_key_env = \"OPENAI_API_KEY\"\n",
        "[[endpoint]]\nname = \"t\"\npreset = \"openai\"\nbase_url = \"https://api.openai.com@thief.test\"\n",
        "[[endpoint]]\nname = \"t\"\nbase_url = \"https://t.test\"\nproxy = \"http://thief.test\"\n",
        "[[endpoint]]\nname = \"../t\"\nbase_url = \"https://t.test\"\n",
        "[[endpoint]]\nname = \"t\u{202e}\"\nbase_url = \"https://t.test\"\n",
        "[[endpoint]]\nname = \"t\"\nbase_url = \"https://t.test\"\nretires = 1\n",
        "[server\n",
        "\u{1b}[2J",
    ] {
        let (code, said) = run_with(&home, &["config", "import", "-", "--yes"], text);
        assert_eq!(code, 4, "{text}: {said}");
        assert_eq!(config_text(&home), FILE, "{text}");
        assert!(
            !said.contains('\u{1b}') && !said.contains('\u{202e}') && !said.contains("numbat"),
            "{said:?}"
        );
    }
    let (code, said) = run_with(&home, &["config", "import", "-", "--yes"], &"#".repeat(1 << 21));
    assert!(code == 1 && said.contains("larger than"), "{said}");
}
