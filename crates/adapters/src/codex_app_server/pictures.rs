//! Pictures that Codex makes itself: it saves them in its home and believes that the user sees them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::json;

/// The folder of them below Codex's home; each thread has its own in it.
const FOLDER: &str = "generated_images";
/// A larger picture is only named.
const MAX_BYTES: u64 = 4 << 20;
/// The most pictures of one turn.
const MAX_PICTURES: usize = 8;
/// What is a picture by its name.
const KINDS: [(&str, &str); 5] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
];

/// The pictures of a thread before a turn.
#[derive(Debug)]
pub struct PicturesBefore {
    folder: PathBuf,
    names: BTreeSet<String>,
}

impl PicturesBefore {
    /// What is there now. A thread's name comes from outside: one that is no plain name has no pictures.
    pub fn of(home: &Path, thread: &str) -> Self {
        let is_plain = thread.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let folder = if is_plain { home.join(FOLDER).join(thread) } else { PathBuf::new() };
        Self { names: names(&folder), folder }
    }

    /// The texts by which a client is shown those that are new, in the order of their names.
    pub fn new_ones(&self) -> Vec<String> {
        let new = names(&self.folder).into_iter().filter(|name| !self.names.contains(name));
        new.take(MAX_PICTURES).filter_map(|name| shown(&self.folder, &name)).collect()
    }
}

/// The plain files of a folder; links are none.
fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    let plain = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    plain.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn shown(folder: &Path, name: &str) -> Option<String> {
    let (_, ending) = name.rsplit_once('.')?;
    let (_, mime) = KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending))?;
    let (file, _) = latimer_files::open_as_it_is(&folder.join(name)).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > MAX_BYTES {
        return Some(format!("[picture: {name}]"));
    }
    Some(format!("![{name}](data:{mime};base64,{})", BASE64_STANDARD.encode(bytes)))
}

/// The line by which a reader is given such a text.
pub fn line(text: &str) -> Bytes {
    format!("{}\n", json!({ "method": "latimer/file", "params": { "text": text } })).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_pictures_are_shown_and_links_are_not_followed() {
        let home = tempfile::tempdir().expect("a directory");
        let folder = home.path().join(FOLDER).join("t-1");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("old.png"), "old").expect("written");
        let before = PicturesBefore::of(home.path(), "t-1");
        assert!(before.new_ones().is_empty());
        std::fs::write(folder.join("b.png"), "new").expect("written");
        std::fs::write(folder.join("a.txt"), "no picture").expect("written");
        std::os::unix::fs::symlink("/etc/hostname", folder.join("c.png")).expect("linked");
        let large = std::fs::File::create(folder.join("d.png")).expect("made");
        large.set_len(MAX_BYTES + 1).expect("large");
        assert_eq!(before.new_ones(), ["![b.png](data:image/png;base64,bmV3)", "[picture: d.png]"]);
        assert!(PicturesBefore::of(home.path(), "missing").new_ones().is_empty());
        assert!(PicturesBefore::of(home.path(), "../t-1").new_ones().is_empty(), "no way out of the folder");
    }
}
