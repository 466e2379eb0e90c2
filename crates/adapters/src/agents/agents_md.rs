//! The file `AGENTS.md` that an agent is given in its home: put together from sections, within the bytes that Codex reads. Pure: files come
//! in through a function.
//!
//! Never an error: a start that fails again and again would end a conversation for good.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The most bytes that Codex reads of it (`project_doc_max_bytes`).
pub const MAX_BYTES: usize = 32_768;
/// From so many bytes on a person should know.
pub const MANY_BYTES: usize = 28_672;

/// A piece of the file with a title of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The heading, by which optional ones are put in order.
    pub title: String,
    /// Its text; lines that are only `@path` stand for that file.
    pub text: String,
    /// Whether it may be left out.
    pub weight: Weight,
}

/// Whether a section may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Never.
    Core,
    /// Where there is no room: the largest first.
    Optional,
}

/// What it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// Where to edit instead of in the file itself.
    pub source: String,
    /// The text of the index of memories; left out where it is blank.
    pub memory: Option<String>,
    /// In the order in which they stand; optional ones by their titles.
    pub sections: Vec<Section>,
}

/// The file, and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The whole text, with one line end at its end.
    pub text: String,
    /// Titles of sections that were left out.
    pub omitted: Vec<String>,
    /// Where it is nearly or quite too long: the bytes of each section, the largest first.
    pub sizes: Option<Vec<(String, usize)>>,
}

/// Puts the file together.
pub fn compose(parts: &Parts) -> Composed {
    let mut sections = vec![Section {
        title: "About this file".to_owned(),
        text: format!("It is generated at every start. Edit {} instead.", parts.source),
        weight: Weight::Core,
    }];
    if let Some(memory) = parts.memory.as_deref().filter(|memory| !memory.trim().is_empty()) {
        let text =
            format!("What is stored here binds you, as if it had just been said.\n\n{}", memory.trim_end());
        sections.push(Section { title: "Memory".to_owned(), text, weight: Weight::Core });
    }
    let (core, mut optional): (Vec<Section>, Vec<Section>) =
        parts.sections.iter().cloned().partition(|section| section.weight == Weight::Core);
    optional.sort_by(|a, b| a.title.cmp(&b.title));
    sections.extend(core);
    sections.extend(optional);
    let mut omitted: Vec<String> = Vec::new();
    loop {
        let text = written(&sections, &omitted);
        let is_many = text.len() >= MANY_BYTES;
        let largest = sections
            .iter()
            .enumerate()
            .filter(|(_, section)| section.weight == Weight::Optional)
            .max_by_key(|(_, section)| section.text.len())
            .map(|(place, _)| place);
        match largest {
            Some(place) if text.len() > MAX_BYTES => omitted.push(sections.remove(place).title),
            _ => {
                let sizes = is_many.then(|| sizes(&sections));
                return Composed { text, omitted, sizes };
            }
        }
    }
}

fn written(sections: &[Section], omitted: &[String]) -> String {
    let mut text = String::new();
    for Section { title, text: body, .. } in sections {
        let _ = write!(text, "# {title}\n\n{}\n\n", body.trim());
    }
    if !omitted.is_empty() {
        let names = omitted.join(", ");
        let _ = writeln!(text, "# Omitted for size\n\n{names}. The tools themselves still work.");
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('\n');
    text
}

fn sizes(sections: &[Section]) -> Vec<(String, usize)> {
    let mut sizes: Vec<_> =
        sections.iter().map(|section| (section.title.clone(), section.text.len())).collect();
    sizes.sort_by_key(|(_, size)| Reverse(*size));
    sizes
}

/// A text whose lines that are only `@path` are replaced by those files, and theirs, relative to the file in which they stand. A file that
/// is missing, or stands above itself, is nothing; one that was taken in already is not taken in again.
pub fn with_imports(text: &str, folder: &Path, read: &dyn Fn(&Path) -> Option<String>) -> String {
    let mut out = String::new();
    import(text, folder, read, &mut HashSet::new(), &mut out);
    out
}

fn import(
    text: &str,
    folder: &Path,
    read: &dyn Fn(&Path) -> Option<String>,
    seen: &mut HashSet<PathBuf>,
    out: &mut String,
) {
    for line in text.lines() {
        let path = line.trim().strip_prefix('@').filter(|path| !path.is_empty() && !path.contains(' '));
        let Some(path) = path else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let path = folder.join(path);
        if !seen.insert(path.clone()) {
            continue;
        }
        if let Some(text) = read(&path) {
            import(&text, path.parent().unwrap_or(folder), read, seen, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &str, bytes: usize, weight: Weight) -> Section {
        Section { title: title.to_owned(), text: "ż".repeat(bytes / 2), weight }
    }

    fn parts(sections: Vec<Section>) -> Parts {
        Parts { source: "profiles/lab.toml".to_owned(), memory: Some(" \n".to_owned()), sections }
    }

    #[test]
    fn a_file_that_fits_holds_everything() {
        let all = vec![section("B", 10, Weight::Optional), section("A", 10, Weight::Optional)];
        let mut made = parts(all);
        let composed = compose(&made);
        assert!(composed.text.find("# A").expect("A") < composed.text.find("# B").expect("B"));
        assert!(composed.omitted.is_empty() && composed.sizes.is_none());
        assert!(!composed.text.contains("# Memory"), "a blank index is none");
        assert!(composed.text.ends_with("ż\n") && !composed.text.ends_with("\n\n"));
        made.memory = Some("- tea, not coffee".to_owned());
        let text = compose(&made).text;
        assert!(text.contains("- tea, not coffee") && text.contains("binds you"));
    }

    #[test]
    fn what_is_too_long_loses_its_largest_optional_section_and_says_so() {
        let all = vec![
            section("core", 12_000, Weight::Core),
            section("small", 4000, Weight::Optional),
            section("large", 18_000, Weight::Optional),
        ];
        let composed = compose(&parts(all));
        assert_eq!(composed.omitted, ["large"]);
        assert!(composed.text.len() <= MAX_BYTES && composed.text.contains("# small"));
        assert!(composed.text.contains("# Omitted for size\n\nlarge. The tools"), "it says what went");
    }

    #[test]
    fn core_sections_never_go() {
        let composed =
            compose(&parts(vec![section("core", 40_000, Weight::Core), section("x", 10, Weight::Optional)]));
        assert!(composed.text.len() > MAX_BYTES && composed.omitted == ["x"]);
        let sizes = composed.sizes.expect("told");
        assert_eq!(sizes[0].0, "core");
    }

    #[test]
    fn imports_are_taken_in_once_and_what_is_missing_is_nothing() {
        let files = |path: &Path| match path.to_str()? {
            "/p/a.md" => Some("A\n@sub/b.md\n@a.md".to_owned()),
            "/p/sub/b.md" => Some("B\n@../a.md\n@c.md".to_owned()),
            "/p/sub/c.md" => Some("C".to_owned()),
            _ => None,
        };
        let text = "top\n@a.md\n@missing.md\n@a.md\nme@home.test\n@two words";
        let made = with_imports(text, Path::new("/p"), &files);
        // `/p/sub/../a.md` is another name for the file above itself, and is taken in under it at most once.
        assert_eq!(made.matches('C').count(), 1, "{made}");
        assert!(made.starts_with("top\nA\nB\n") && made.contains("me@home.test\n@two words\n"), "{made}");
        assert!(!made.contains("@a.md") && !made.contains("@missing.md"), "{made}");
    }
}
