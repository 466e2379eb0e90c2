//! The table of profiles.

use rusqlite::params;

use super::{AgentDatabase, number};
use crate::agents::profile::AgentProfile;
use crate::agents::store::{AgentStoreError, ProfileStore};

pub(super) const TABLES: &str = "
CREATE TABLE agent_profiles (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, profile TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;
";

impl ProfileStore for AgentDatabase {
    fn put_profile(&self, profile: &AgentProfile) -> Result<bool, AgentStoreError> {
        let text =
            serde_json::to_string(profile).map_err(|error| AgentStoreError::Unreadable(error.to_string()))?;
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let values =
            params![profile.id, profile.model, text, number(profile.created), number(profile.updated)];
        let updated = transaction.execute(
            "UPDATE agent_profiles SET model = ?2, profile = ?3, updated = ?5 WHERE id = ?1 AND ?4 IS NOT NULL",
            values,
        )?;
        if updated == 0 {
            transaction.execute("INSERT INTO agent_profiles (id, model, profile, created, updated) VALUES (?1, ?2, ?3, ?4, ?5)", values)?;
        }
        transaction.commit()?;
        Ok(updated == 0)
    }

    fn profiles(&self) -> Result<Vec<AgentProfile>, AgentStoreError> {
        let connection = self.connection();
        let mut query =
            connection.prepare_cached("SELECT profile, created, updated FROM agent_profiles ORDER BY id")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        let mut profiles = Vec::new();
        for row in rows {
            let (text, created, updated) = row?;
            match serde_json::from_str::<AgentProfile>(&text) {
                Ok(profile) => profiles.push(AgentProfile {
                    created: super::unsigned(created),
                    updated: super::unsigned(updated),
                    ..profile
                }),
                // It stands in nobody's way.
                Err(error) => {
                    tracing::warn!(event = "agents.row_unreadable", table = "agent_profiles", error = %error);
                }
            }
        }
        Ok(profiles)
    }

    fn delete_profile(&self, id: &str) -> Result<bool, AgentStoreError> {
        Ok(self.connection().execute("DELETE FROM agent_profiles WHERE id = ?1", [id])? > 0)
    }
}
