//! A client key as the columns of a table, the same in every database.

use crate::keys::KeyRecord;
use crate::keys::limits::{LimitError, Limits, Rate};
use crate::keys::scope::ModelScope;
use crate::keys::secret::{KeyId, KeyProof};

/// The columns, in the order of [`KeyRow`].
pub(super) const COLUMNS: &str = "id, name, salt, hash, models, requests, tokens, budget, parallel, created_at, expires_at, rotated_at, revoked_at";

/// What a table holds of a key.
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) salt: Vec<u8>,
    pub(super) hash: Vec<u8>,
    pub(super) models: String,
    pub(super) requests: Option<String>,
    pub(super) tokens: Option<String>,
    pub(super) budget: Option<String>,
    pub(super) parallel: Option<i64>,
    pub(super) created_at: i64,
    pub(super) expires_at: Option<i64>,
    pub(super) rotated_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
}

/// Why a row is no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("{0}")]
    Limit(#[from] LimitError),
    #[error("its models are no list: {0}")]
    Models(#[from] serde_json::Error),
    #[error("its {0} has another length or form")]
    Form(&'static str),
}

impl From<&KeyRecord> for KeyRow {
    fn from(record: &KeyRecord) -> Self {
        let KeyRecord { id, name, proof, models, limits, created_at, expires_at, rotated_at, revoked_at } =
            record;
        Self {
            id: id.as_str().to_owned(),
            name: name.clone(),
            salt: proof.salt.to_vec(),
            hash: proof.hash.to_vec(),
            models: serde_json::to_string(models.names()).unwrap_or_default(),
            requests: limits.requests.map(Rate::count_text),
            tokens: limits.tokens.map(Rate::count_text),
            budget: limits.budget.map(Rate::money_text),
            parallel: limits.parallel.map(|max| max.get().into()),
            created_at: number(*created_at),
            expires_at: expires_at.map(number),
            rotated_at: rotated_at.map(number),
            revoked_at: revoked_at.map(number),
        }
    }
}

impl KeyRow {
    /// The key of a row.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn record(self) -> Result<KeyRecord, RowError> {
        let rate = |text: Option<String>, read: fn(&str) -> Result<Rate, LimitError>| {
            text.map(|text| read(&text)).transpose()
        };
        let parallel = self.parallel.and_then(|max| u32::try_from(max).ok());
        Ok(KeyRecord {
            id: KeyId::read(&self.id).ok_or(RowError::Form("id"))?,
            name: self.name,
            proof: KeyProof {
                salt: self.salt.try_into().map_err(|_| RowError::Form("salt"))?,
                hash: self.hash.try_into().map_err(|_| RowError::Form("hash"))?,
            },
            models: ModelScope::new(serde_json::from_str(&self.models)?),
            limits: Limits {
                requests: rate(self.requests, Rate::of_count)?,
                tokens: rate(self.tokens, Rate::of_count)?,
                budget: rate(self.budget, Rate::of_money)?,
                parallel: parallel.and_then(std::num::NonZeroU32::new),
            },
            created_at: self.created_at.cast_unsigned(),
            expires_at: self.expires_at.map(i64::cast_unsigned),
            rotated_at: self.rotated_at.map(i64::cast_unsigned),
            revoked_at: self.revoked_at.map(i64::cast_unsigned),
        })
    }
}

/// Keys by name: the one that is not revoked, else the newest one that is.
pub(super) fn named(mut records: Vec<KeyRecord>, name: &str) -> Option<KeyRecord> {
    records.retain(|record| record.name == name);
    let place = records.iter().position(|record| record.revoked_at.is_none());
    place.map(|place| records.swap_remove(place)).or_else(|| records.pop())
}

/// As databases have it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
