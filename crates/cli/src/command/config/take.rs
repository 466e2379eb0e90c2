//! `latimer config import`: what somebody exported, shown before it is taken. The file may come from anybody, so it can bring no key, no
//! path, no setting of this machine, and it is said which variable would go to which host.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use latimer_protocol::printable::is_harmful;
use latimer_protocol::secret::names_a_credential;
use latimer_proxy::config::presets;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike};

use super::share::SHARED;
use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::dialogue::agrees;
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{LinesError, eprint_line, print_line};

/// The largest file that is taken, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Keys of an endpoint that only its own machine can say.
const NOT_FROM_OTHERS: [&str; 5] = ["api_key", "api_key_file", "ca_file", "proxy", "allow_http"];

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The exported file; `-` reads stdin
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Replace endpoints, routes and profiles of the same name
    #[arg(long)]
    replace: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show the change, and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Merges a file into the configuration.
///
/// # Errors
/// It holds what cannot come from others, a name that is taken, or makes no valid configuration.
pub(super) fn import(paths: &PathArgs, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let text = read(&args.from)?;
    let theirs: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| {
            anyhow::anyhow!("the file is no valid TOML: {}", error.message())
        })
        .exits(Exit::Configuration)?;
    let problems = problems(&theirs, &text);
    if !problems.is_empty() {
        return Err(LinesError::new("the file cannot be taken; nothing was written", problems))
            .exits(Exit::Configuration);
    }
    let mut file = ConfigFile::open(&paths.config_target()?)?;
    merge(&mut file.document, &theirs, args.replace)?;
    let destinations = destinations(&theirs);
    let Some(change) = file.show()? else { return Ok(ExitCode::SUCCESS) };
    for line in destinations {
        eprint_line(&line);
    }
    if args.dry_run {
        print_line("nothing was written")?;
        return Ok(ExitCode::SUCCESS);
    }
    // What came by stdin leaves nobody to ask there.
    let is_from_stdin = args.from == Path::new("-");
    ensure!(
        args.yes || !is_from_stdin,
        "the file came on stdin, so nobody can be asked; look at it with --dry-run, then give --yes"
    );
    if !args.yes && !agrees("take this?") {
        print_line("nothing was written")?;
        return Ok(ExitCode::FAILURE);
    }
    change.write()?;
    Ok(ExitCode::SUCCESS)
}

fn read(from: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let shown = from.display();
    if from == Path::new("-") {
        std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes).context("reading stdin")?;
    } else {
        let file = std::fs::File::open(from).with_context(|| format!("opening `{shown}`"))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("reading `{shown}`"))?;
    }
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "`{shown}` is larger than {MAX_BYTES} bytes; is it an exported file?"
    );
    String::from_utf8(bytes).with_context(|| format!("`{shown}` is no text"))
}

/// Everything in a file that cannot come from others, each with its place.
fn problems(theirs: &DocumentMut, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut line, mut hidden) = (1, None);
    for c in text.chars() {
        line += usize::from(c == '\n');
        if hidden.is_none() && is_harmful(c) && !matches!(c, '\n' | '\r' | '\t') {
            hidden = Some(line);
        }
    }
    found.extend(hidden.map(|line| format!("line {line}: there is a character that cannot be seen")));
    for (part, _) in theirs.iter().filter(|(part, _)| !SHARED.contains(part)) {
        found.push(format!("{part}: is a setting of one machine; only {} are taken", SHARED.join(", ")));
    }
    for (place, endpoint) in tables(theirs, "endpoint").enumerate() {
        for (key, _) in endpoint {
            if NOT_FROM_OTHERS.contains(&key) {
                found.push(format!(
                    "endpoint[{place}].{key}: is not taken from others; take it out, and set it afterwards with `latimer config set`"
                ));
            }
        }
        let headers = endpoint.get("headers").and_then(Item::as_table_like);
        for (header, _) in headers.into_iter().flat_map(|headers| headers.iter()) {
            if names_a_credential(header) {
                found.push(format!(
                    "endpoint[{place}].headers.{header}: looks like a key, and is not taken from others"
                ));
            }
        }
        found.extend(stolen_key(place, endpoint));
    }
    found
}

/// A variable that holds the key of one provider goes to no other one, whoever asks.
fn stolen_key(place: usize, endpoint: &Table) -> Option<String> {
    let preset = endpoint.get("preset").and_then(Item::as_str).and_then(presets::find);
    let url = endpoint.get("base_url").and_then(Item::as_str).or(preset.map(|preset| preset.base_url))?;
    let of_preset = preset.and_then(|preset| preset.key_env);
    let variables = variables(endpoint).into_iter().chain(of_preset.map(str::to_owned));
    let owner = variables
        .into_iter()
        .find_map(|variable| presets::owner_elsewhere(&variable, url).map(|owner| (variable, owner)));
    let (variable, owner) = owner?;
    Some(format!(
        "endpoint[{place}]: would send {variable}, the key of {owner}, to {}; such an endpoint is added by hand only",
        host(url)
    ))
}

/// Which variable would go to which host.
fn destinations(theirs: &DocumentMut) -> Vec<String> {
    let line = |endpoint: &Table| {
        let name = endpoint.get("name").and_then(Item::as_str)?;
        let preset = endpoint.get("preset").and_then(Item::as_str).and_then(presets::find);
        let url = endpoint.get("base_url").and_then(Item::as_str).or(preset.map(|preset| preset.base_url))?;
        let mut variables = variables(endpoint);
        if variables.is_empty() {
            variables.extend(preset.and_then(|preset| preset.key_env).map(str::to_owned));
        }
        let key = if variables.is_empty() {
            "no key".to_owned()
        } else {
            format!("the value of {}", variables.join(", "))
        };
        Some(format!("{name} sends your conversations and {key} to {}", host(url)))
    };
    tables(theirs, "endpoint").filter_map(line).collect()
}

fn variables(endpoint: &Table) -> Vec<String> {
    match endpoint.get("api_key_env") {
        Some(Item::Value(toml_edit::Value::String(name))) => vec![name.value().clone()],
        Some(Item::Value(toml_edit::Value::Array(names))) => {
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn tables<'d>(document: &'d DocumentMut, part: &str) -> impl Iterator<Item = &'d Table> {
    document.get(part).and_then(Item::as_array_of_tables).into_iter().flatten()
}

/// Entries by their names; what is there already stays as it is unless it is to be replaced. Settings that are not there yet are taken.
fn merge(ours: &mut DocumentMut, theirs: &DocumentMut, replaces: bool) -> anyhow::Result<()> {
    for (part, item) in theirs.iter() {
        match item {
            Item::ArrayOfTables(tables) => merge_entries(ours, part, tables, replaces)?,
            Item::Table(table) => {
                let mine = ours.entry(part).or_insert(Item::Table(Table::new()));
                let mine = mine.as_table_like_mut().with_context(|| format!("`{part}` is no table here"))?;
                merge_table(mine, table, replaces);
            }
            item if replaces || ours.get(part).is_none() => {
                ours.insert(part, item.clone());
            }
            _ => {}
        }
    }
    Ok(())
}

fn merge_table(mine: &mut dyn TableLike, theirs: &Table, replaces: bool) {
    for (key, item) in theirs {
        if replaces || !mine.contains_key(key) {
            mine.insert(key, item.clone());
        }
    }
}

fn merge_entries(
    ours: &mut DocumentMut,
    part: &str,
    theirs: &ArrayOfTables,
    replaces: bool,
) -> anyhow::Result<()> {
    let is_first = ours.as_table().is_empty();
    let mine = ours.entry(part).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let mine = mine
        .as_array_of_tables_mut()
        .with_context(|| format!("`{part}` is not written as [[{part}]] here"))?;
    for (at, table) in theirs.iter().enumerate() {
        let name = |table: &Table| table.get("name").and_then(Item::as_str).map(str::to_owned);
        let named = name(table).with_context(|| format!("{part}[{at}].name: is missing"))?;
        let mut table = table.clone();
        table.set_position(None);
        let place = mine.iter().position(|known| name(known).as_deref() == Some(named.as_str()));
        match place.and_then(|place| mine.get_mut(place)) {
            Some(known) if known.to_string().trim() == table.to_string().trim() => {}
            Some(known) if replaces => {
                *table.decor_mut() = known.decor().clone();
                table.set_position(known.position());
                *known = table;
            }
            Some(_) => bail!(
                "there is a {part} `{named}` here already, and it is another one; --replace takes theirs"
            ),
            None => {
                table.decor_mut().set_prefix(if is_first && mine.is_empty() { "" } else { "\n" });
                mine.push(table);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> DocumentMut {
        text.parse().expect("TOML")
    }

    #[test]
    fn what_only_its_machine_can_say_is_refused_with_its_place() {
        for (text, words) in [
            ("[server]\nauth = \"none\"\n", "server: is a setting of one machine"),
            ("launch_env = [\"AWS_SECRET_ACCESS_KEY\"]\n", "launch_env: is a setting"),
            ("[watchdog]\nenabled = false\n", "watchdog: is a setting"),
            (
                "[[endpoint]]\nname = \"a\"\napi_key_file = \"/home/me/.ssh/id_ed25519\"\n",
                "endpoint[0].api_key_file: is not taken",
            ),
            ("[[endpoint]]\nname = \"a\"\napi_key = \"k\"\n", "endpoint[0].api_key: is not taken"),
            ("[[endpoint]]\nname = \"a\"\nca_file = \"x\"\n", "endpoint[0].ca_file: is not taken"),
            (
                "[[endpoint]]\nname = \"a\"\nheaders = { authorization = \"x\" }\n",
                "headers.authorization: looks like a key",
            ),
            (
                "[[endpoint]]\nname = \"a\"\nbase_url = \"https://thief.test/v1\"\napi_key_env = [\"X\", \"OPENAI_API_KEY\"]\n",
                "would send OPENAI_API_KEY, the key of openai, to thief.test",
            ),
            (
                "[[endpoint]]\nname = \"a\"\npreset = \"deepseek\"\nbase_url = \"https://thief.test\"\n",
                "would send DEEPSEEK_API_KEY",
            ),
            ("# a\u{202e}b\n", "line 1: there is a character that cannot be seen"),
        ] {
            let found = problems(&document(text), text).join("\n");
            assert!(found.contains(words), "{text}: {found}");
        }
        let fine = "[[endpoint]]\nname = \"d\"\npreset = \"deepseek\"\n[[profile]]\nname = \"p\"\nendpoint = \"d\"\n";
        assert_eq!(problems(&document(fine), fine), Vec::<String>::new());
        assert_eq!(
            destinations(&document(fine)),
            ["d sends your conversations and the value of DEEPSEEK_API_KEY to api.deepseek.com"]
        );
    }

    #[test]
    fn what_is_there_stays_unless_it_is_to_be_replaced() {
        let ours = "# mine\n[launch]\nmodel = \"one\"\n\n[[endpoint]]\nname = \"a\" # here\nretries = 1\n";
        let theirs = document(
            "[launch]\nmodel = \"two\"\nsmall_model = \"s\"\n[[endpoint]]\nname = \"a\"\nretries = 2\n[[endpoint]]\nname = \"b\"\n",
        );
        let mut merged = document(ours);
        let error = merge(&mut merged, &theirs, false).expect_err("taken").to_string();
        assert!(error.contains("endpoint `a` here already"), "{error}");
        let mut merged = document(ours);
        merge(&mut merged, &theirs, true).expect("merged");
        let text = merged.to_string();
        assert!(text.starts_with("# mine\n[launch]\nmodel = \"two\"\nsmall_model = \"s\"\n"), "{text}");
        assert!(
            text.contains("retries = 2")
                && text.contains("name = \"b\"")
                && text.matches("[[endpoint]]").count() == 2,
            "{text}"
        );
    }
}
