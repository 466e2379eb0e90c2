//! Keys of one store in another one: when somebody who was alone becomes a team. The secrets stay valid, because their salted hashes go along.

use std::collections::HashSet;

use super::{KeyStore, KeyStoreError};

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiedKeys {
    /// Keys of the source, revoked ones too.
    pub found: u64,
    /// Those that were not there yet.
    pub added: u64,
    /// Names under which another key is there already; these were left out.
    pub taken: Vec<String>,
}

/// Copies every key that is not there yet, with what was used of it. What was copied before is not copied again.
///
/// # Errors
/// The source cannot be read, or the other store cannot be written; what was copied until then stays.
pub fn copy(from: &mut dyn KeyStore, to: &mut dyn KeyStore) -> Result<CopiedKeys, KeyStoreError> {
    let known: HashSet<_> = to.all()?.into_iter().map(|record| record.id).collect();
    let mut copied = CopiedKeys::default();
    for record in from.all()? {
        copied.found += 1;
        if known.contains(&record.id) {
            continue;
        }
        match to.add(&record) {
            Ok(()) => {}
            Err(KeyStoreError::NameTaken(name)) => {
                copied.taken.push(name);
                continue;
            }
            Err(error) => return Err(error),
        }
        copied.added += 1;
        let used = from.used(&record.id)?;
        if !used.is_empty() {
            to.exchange(&used)?;
        }
    }
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::super::period::{Amounts, LimitWindow, Period};
    use super::super::{KeyRecord, KeyUse};
    use super::*;
    use crate::clock;
    use crate::keys::limits::Limits;
    use crate::keys::scope::ModelScope;
    use crate::keys::secret::NewSecret;
    use crate::store::client_keys::FileKeys;

    fn record(name: &str) -> KeyRecord {
        let NewSecret { id, proof, .. } = NewSecret::draw().expect("randomness");
        KeyRecord {
            id,
            name: name.to_owned(),
            proof,
            models: ModelScope::default(),
            limits: Limits::default(),
            created_at: 1,
            expires_at: None,
            rotated_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn keys_and_their_use_are_copied_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut from = FileKeys::make(&dir.path().join("from.db")).expect("made");
        let mut to = FileKeys::make(&dir.path().join("to.db")).expect("made");
        let (alice, bob, stranger) = (record("alice"), record("bob"), record("bob"));
        from.add(&alice).expect("added");
        from.add(&bob).expect("added");
        from.add(&record("gone")).expect("added");
        from.revoke("gone", 7).expect("revoked");
        to.add(&stranger).expect("added");
        let start = clock::unix_now() / 86_400 * 86_400;
        let window = LimitWindow { period: Period::Day, start, end: start + 86_400 };
        let amounts = Amounts { requests: 3, tokens: 40, micro_usd: 5 };
        let used = KeyUse { key: alice.id.clone(), window, amounts };
        from.exchange(std::slice::from_ref(&used)).expect("added");

        let copied = copy(&mut from, &mut to).expect("copied");
        assert_eq!(copied, CopiedKeys { found: 3, added: 2, taken: vec!["bob".to_owned()] });
        let again = copy(&mut from, &mut to).expect("copied");
        assert_eq!(again, CopiedKeys { found: 3, added: 0, taken: vec!["bob".to_owned()] });
        assert_eq!(to.used(&alice.id).expect("read"), [used]);
        let all = to.all().expect("read");
        let of = |name: &str| all.iter().find(|record| record.name == name).expect("there");
        assert_eq!((of("alice"), of("bob"), of("gone").revoked_at), (&alice, &stranger, Some(7)));
    }
}
