//! Whose a kept answer is. Pure.

use std::borrow::Cow;

use crate::keys::secret::KeyId;

/// What stands before the id of an answer that belongs to a key. No id of ours has a colon.
const OF_KEY: &str = "key:";

/// Who asks for kept answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The owner of the state directory, and everybody where no token is needed.
    Owner,
    /// A client key. It sees its own answers and no others, and nobody else sees them.
    Key(KeyId),
}

impl Scope {
    /// The name under which an answer of this id is kept; `None` for an id that could only be somebody else's.
    pub fn stored_id<'i>(&self, id: &'i str) -> Option<Cow<'i, str>> {
        match self {
            Self::Owner => (!id.starts_with(OF_KEY)).then_some(Cow::Borrowed(id)),
            Self::Key(key) => Some(Cow::Owned(format!("{OF_KEY}{key}/{id}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_write_an_id_that_is_kept_for_another() {
        let key = |id: &str| Scope::Key(KeyId::read(id).expect("an id"));
        let (anna, bert) = (key("00112233aabb"), key("ffeeddccbbaa"));
        let of_anna = anna.stored_id("resp_1").expect("kept").into_owned();
        assert_eq!(of_anna, "key:00112233aabb/resp_1");
        assert_eq!(Scope::Owner.stored_id(&of_anna), None);
        for other in [&anna, &bert] {
            assert_ne!(other.stored_id(&of_anna).as_deref(), Some(&*of_anna));
        }
        assert_ne!(bert.stored_id("resp_1").as_deref(), Some(&*of_anna));
        assert_eq!(Scope::Owner.stored_id("resp_1").as_deref(), Some("resp_1"));
    }
}
