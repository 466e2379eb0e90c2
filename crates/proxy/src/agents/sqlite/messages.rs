//! The table of messages.

use rusqlite::{OptionalExtension as _, Row, TransactionBehavior, params};

use super::{AgentDatabase, number, rows, unsigned};
use crate::agents::message::{AgentMessage, MessageState, NewMessage};
use crate::agents::names::RunId;
use crate::agents::store::{AgentStoreError, MessageQuery, MessageStore};

pub(super) const TABLES: &str = "
CREATE TABLE agent_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, recipient TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL,
    run TEXT, at INTEGER NOT NULL, delivered INTEGER
) STRICT;
CREATE INDEX agent_messages_to ON agent_messages (recipient, state, id);
CREATE INDEX agent_messages_run ON agent_messages (run) WHERE run IS NOT NULL;
";

const COLUMNS: &str = "id, sender, recipient, body, state, run, at, delivered";

impl MessageStore for AgentDatabase {
    fn send(
        &self,
        message: &NewMessage,
        max_unread: u64,
        now: u64,
    ) -> Result<Option<AgentMessage>, AgentStoreError> {
        let connection = self.connection();
        let text = format!(
            "INSERT INTO agent_messages (sender, recipient, body, state, at) SELECT ?1, ?2, ?3, 'unread', ?4 \
             WHERE (SELECT count(*) FROM agent_messages WHERE recipient = ?2 AND state = 'unread') < ?5 RETURNING {COLUMNS}"
        );
        let mut query = connection.prepare_cached(&text)?;
        let values = params![message.from, message.to, message.body, number(now), number(max_unread)];
        Ok(query.query_row(values, of_row).optional()?)
    }

    fn messages(&self, wanted: &MessageQuery) -> Result<Vec<AgentMessage>, AgentStoreError> {
        let connection = self.connection();
        let text = format!(
            "SELECT {COLUMNS} FROM agent_messages WHERE (?1 IS NULL OR recipient = ?1) AND (?2 IS NULL OR state = ?2) AND id > ?3 \
             ORDER BY id LIMIT ?4"
        );
        let mut query = connection.prepare_cached(&text)?;
        let values = params![
            wanted.to,
            wanted.state.map(MessageState::name),
            number(wanted.after.unwrap_or(0)),
            rows(wanted.limit)
        ];
        let found = query.query_map(values, of_row)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn unread(&self) -> Result<Vec<(String, u64)>, AgentStoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached(
            "SELECT recipient, count(*) FROM agent_messages WHERE state = 'unread' GROUP BY recipient ORDER BY recipient",
        )?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn take(&self, to: &str, limit: usize, now: u64) -> Result<Vec<AgentMessage>, AgentStoreError> {
        let connection = self.connection();
        let text = format!(
            "UPDATE agent_messages SET state = 'delivered', delivered = ?3 WHERE id IN (\
                SELECT id FROM agent_messages WHERE recipient = ?1 AND state = 'unread' AND run IS NULL ORDER BY id LIMIT ?2\
             ) RETURNING {COLUMNS}"
        );
        let mut query = connection.prepare_cached(&text)?;
        let taken = query.query_map(params![to, rows(limit), number(now)], of_row)?;
        in_order(taken)
    }

    fn mark_read(&self, id: u64, now: u64) -> Result<bool, AgentStoreError> {
        let changed = self.connection().execute(
            "UPDATE agent_messages SET state = 'read', delivered = coalesce(delivered, ?2) WHERE id = ?1 AND (run IS NULL OR state <> 'unread')",
            params![number(id), number(now)],
        )?;
        Ok(changed > 0)
    }

    fn reserve(
        &self,
        to: &str,
        run: &RunId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<AgentMessage>, AgentStoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let text = format!(
            "SELECT {COLUMNS} FROM agent_messages WHERE recipient = ?1 AND state = 'unread' AND run IS NULL ORDER BY id LIMIT ?2"
        );
        let mut messages: Vec<AgentMessage> = Vec::new();
        let mut bytes = 0_usize;
        {
            let mut query = transaction.prepare_cached(&text)?;
            let mut found = query.query(params![to, rows(limit)])?;
            while let Some(row) = found.next()? {
                let message = of_row(row)?;
                bytes = bytes.saturating_add(message.body.len());
                if bytes > max_bytes && !messages.is_empty() {
                    break;
                }
                messages.push(AgentMessage { run: Some(run.to_string()), ..message });
            }
        }
        for message in &messages {
            transaction.execute(
                "UPDATE agent_messages SET run = ?2 WHERE id = ?1",
                params![number(message.id), run.as_str()],
            )?;
        }
        transaction.commit()?;
        Ok(messages)
    }

    fn deliver(&self, run: &RunId, now: u64) -> Result<(), AgentStoreError> {
        self.connection().execute(
            "UPDATE agent_messages SET state = 'delivered', delivered = ?2 WHERE run = ?1 AND state = 'unread'",
            params![run.as_str(), number(now)],
        )?;
        Ok(())
    }

    fn release(&self, run: &RunId) -> Result<(), AgentStoreError> {
        self.connection().execute(
            "UPDATE agent_messages SET run = NULL WHERE run = ?1 AND state = 'unread'",
            [run.as_str()],
        )?;
        Ok(())
    }
}

/// What an `UPDATE` returns stands in no order.
fn in_order(
    rows: impl Iterator<Item = rusqlite::Result<AgentMessage>>,
) -> Result<Vec<AgentMessage>, AgentStoreError> {
    let mut messages: Vec<AgentMessage> = rows.collect::<Result<_, _>>()?;
    messages.sort_by_key(|message| message.id);
    Ok(messages)
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<AgentMessage> {
    let state: String = row.get(4)?;
    Ok(AgentMessage {
        id: unsigned(row.get(0)?),
        from: row.get(1)?,
        to: row.get(2)?,
        body: row.get(3)?,
        // Of a newer latimer: whoever does not know it leaves it alone.
        state: MessageState::of(&state).unwrap_or(MessageState::Read),
        run: row.get(5)?,
        at: unsigned(row.get(6)?),
        delivered: row.get::<_, Option<i64>>(7)?.map(unsigned),
    })
}
