//! `latimer man`: manual pages, one for each command of both programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::terminal::print_line;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer man ~/.local/share/man/man1\n  man latimer-launch\n\nThe folder is made if it is not there. Pages of the same names are written over."
)]
pub(crate) struct ManArgs {
    /// Where the pages go
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

/// `programs` are the whole command lines that are described.
pub(crate) fn run(args: &ManArgs, programs: [clap::Command; 2]) -> anyhow::Result<ExitCode> {
    let dir = &args.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("making `{}`", dir.display()))?;
    let mut count = 0;
    for mut program in programs {
        program.build();
        count += write(program, dir)?;
    }
    print_line(&format!("wrote {count} pages to {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and of those below it, and says how many that were. Hidden ones have none.
fn write(command: clap::Command, dir: &Path) -> anyhow::Result<usize> {
    let mut count = 1;
    let below =
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    for command in below {
        count += write(command.clone(), dir)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.disable_help_subcommand(true))
        .title(name.to_uppercase())
        .source(concat!("latimer ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .with_context(|| format!("writing the page of `{name}`"))?;
    let path = dir.join(format!("{name}.1"));
    replace(&path, &page).with_context(|| format!("writing `{}`", path.display()))?;
    Ok(count)
}

/// Puts a file that everybody may read in the place of an older one, and never into what a link there leads to.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::File::create_new(path)?.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let hidden = clap::Command::new("secret").hide(true);
        let inner = clap::Command::new("show").about("Show one");
        let command = clap::Command::new("prog")
            .subcommand(clap::Command::new("list").subcommand(inner))
            .subcommand(hidden);
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("man1");
        run(&ManArgs { dir: folder.clone() }, [command, clap::Command::new("other")]).expect("written");
        let mut pages: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        pages.sort();
        assert_eq!(pages, ["other.1", "prog-list-show.1", "prog-list.1", "prog.1"]);
        let page = std::fs::read_to_string(folder.join("prog-list-show.1")).expect("a page");
        assert!(page.contains("Show one") && page.contains("latimer 0."), "{page}");
    }
}
