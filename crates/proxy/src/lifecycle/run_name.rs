//! The name of a run of the proxy: with it, the name of a turn is never used twice in a state directory.

use std::io::{self, Write as _};
use std::path::Path;

/// The file in the state directory: a byte for each start, so that whatever interrupts a start leaves a number.
const FILE: &str = "runs";

/// What stands between `t` and the number of a turn: nothing in the first run, `12-` in the twelfth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunName(String);

impl RunName {
    /// The name of the run that begins now. `has_rows` says that turns without a run's name are known already: those of an older
    /// release. Where nothing can be counted, the name is a random one.
    pub fn begin(dir: &Path, has_rows: bool) -> Self {
        match count(&dir.join(FILE), has_rows) {
            Ok(1) => Self::default(),
            Ok(number) => Self(format!("{number}-")),
            Err(error) => {
                tracing::warn!(event = "runs.not_counted", error = %error);
                Self::random()
            }
        }
    }

    /// A name of no order, for a run that counts nothing.
    pub fn random() -> Self {
        let mut bytes = [0u8; 8];
        // Without randomness the name is merely less unique. Of a fleet that starts a hundred thousand times, two have the same one in
        // sixty thousand such lives.
        if let Some(bytes) = bytes.get_mut(..6) {
            let _ = getrandom::fill(bytes);
        }
        Self(format!("x{:012x}-", u64::from_le_bytes(bytes)))
    }

    /// The name of a turn.
    pub fn turn(&self, number: u64) -> String {
        format!("t{}{number}", self.0)
    }
}

/// The number of this start, from 1.
fn count(path: &Path, has_rows: bool) -> io::Result<u64> {
    let mut file = latimer_files::append(path)?;
    file.lock()?;
    if has_rows && file.metadata()?.len() == 0 {
        file.write_all(b".")?;
    }
    file.write_all(b".")?;
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_another_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = || RunName::begin(dir.path(), false).turn(7);
        assert_eq!([name(), name(), name()], ["t7", "t2-7", "t3-7"]);
        let older = tempfile::tempdir().expect("a directory");
        assert_eq!(RunName::begin(older.path(), true).turn(1), "t2-1", "t1 is an older release's");
        assert_eq!(RunName::begin(older.path(), true).turn(1), "t3-1");
    }

    #[test]
    fn where_nothing_can_be_counted_the_name_is_random() {
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink("elsewhere", dir.path().join(FILE)).expect("linked");
        let name = RunName::begin(dir.path(), false).turn(7);
        assert!(name.starts_with("tx") && name.ends_with("-7"), "{name}");
        assert_ne!(RunName::random(), RunName::random());
    }
}
