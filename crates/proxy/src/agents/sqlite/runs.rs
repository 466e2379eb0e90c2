//! The table of runs, and what belongs to them: further input, and what happened.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::{AgentDatabase, number, rows, unsigned};
use crate::agents::names::RunId;
use crate::agents::profile::Cleanup;
use crate::agents::run::{AgentRun, RunError, RunMode, RunOutcome, RunStatus, RunUsage};
use crate::agents::store::{
    AgentStoreError, EndedRun, PushedInput, RunCounts, RunInput, RunOwner, RunQuery, RunStore,
};

pub(super) const TABLES: &str = "
CREATE TABLE agent_runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, profile TEXT NOT NULL, status TEXT NOT NULL, mode TEXT NOT NULL,
    input TEXT NOT NULL, result TEXT, error TEXT, kind TEXT, turn TEXT, parent TEXT, schedule TEXT, timeout INTEGER NOT NULL,
    cleanup TEXT NOT NULL, created INTEGER NOT NULL, started INTEGER, ended INTEGER, deadline INTEGER,
    turns INTEGER NOT NULL DEFAULT 0, input_tokens INTEGER NOT NULL DEFAULT 0, cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0, reasoning_tokens INTEGER NOT NULL DEFAULT 0, claimed_by TEXT, claimed_until INTEGER
) STRICT;
CREATE INDEX agent_runs_status ON agent_runs (status, number);
CREATE INDEX agent_runs_profile ON agent_runs (profile, number);
CREATE INDEX agent_runs_schedule ON agent_runs (schedule, number) WHERE schedule IS NOT NULL;
CREATE INDEX agent_runs_deadline ON agent_runs (deadline) WHERE status = 'running';
CREATE INDEX agent_runs_ended ON agent_runs (ended) WHERE cleanup = 'delete';
CREATE TABLE agent_run_inputs (
    run TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (run, number)
) STRICT;
CREATE TABLE agent_run_events (run TEXT PRIMARY KEY, events BLOB NOT NULL) STRICT;
";

const COLUMNS: &str = "id, profile, status, mode, input, result, error, kind, turn, parent, schedule, timeout, cleanup, created, started, \
    ended, deadline, turns, input_tokens, cached_tokens, output_tokens, reasoning_tokens";

/// The most further inputs that may wait for one run.
const MAX_WAITING_INPUTS: u64 = 64;

impl RunStore for AgentDatabase {
    fn add_run(&self, run: &AgentRun, max_queued: u64) -> Result<bool, AgentStoreError> {
        let added = self.connection().execute(
            "INSERT INTO agent_runs (id, profile, status, mode, input, parent, schedule, timeout, cleanup, created) \
             SELECT ?1, ?2, 'queued', ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
             WHERE (SELECT count(*) FROM agent_runs WHERE status = 'queued') < ?10",
            params![
                run.id.as_str(),
                run.profile,
                run.mode.name(),
                run.input,
                run.parent.as_ref().map(RunId::as_str),
                run.schedule,
                number(run.timeout),
                run.cleanup.name(),
                number(run.created),
                number(max_queued),
            ],
        )?;
        Ok(added > 0)
    }

    fn run(&self, id: &RunId) -> Result<Option<AgentRun>, AgentStoreError> {
        find(&self.connection(), id)
    }

    fn runs(&self, wanted: &RunQuery) -> Result<Vec<AgentRun>, AgentStoreError> {
        let connection = self.connection();
        let text = format!(
            "SELECT {COLUMNS} FROM agent_runs WHERE (?1 IS NULL OR profile = ?1) AND (?2 IS NULL OR status = ?2) \
             AND (?3 IS NULL OR schedule = ?3) AND (?4 IS NULL OR number < (SELECT number FROM agent_runs WHERE id = ?4)) \
             ORDER BY number DESC LIMIT ?5"
        );
        let mut query = connection.prepare_cached(&text)?;
        let values = params![
            wanted.profile,
            wanted.status.map(RunStatus::name),
            wanted.schedule,
            wanted.after.as_ref().map(RunId::as_str),
            rows(wanted.limit),
        ];
        let found = query.query_map(values, of_row)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn open_runs(&self) -> Result<RunCounts, AgentStoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached("SELECT count(*) FROM agent_runs WHERE status = ?1")?;
        let mut count = |status: RunStatus| query.query_row([status.name()], |row| Ok(unsigned(row.get(0)?)));
        Ok(RunCounts { queued: count(RunStatus::Queued)?, running: count(RunStatus::Running)? })
    }

    fn claim_run(&self, owner: &RunOwner, now: u64, until: u64) -> Result<Option<AgentRun>, AgentStoreError> {
        let connection = self.connection();
        let text = format!(
            "UPDATE agent_runs SET status = 'running', started = ?2, deadline = ?2 + timeout, claimed_by = ?1, claimed_until = ?3 \
             WHERE status = 'queued' AND number = (SELECT min(number) FROM agent_runs WHERE status = 'queued') RETURNING {COLUMNS}"
        );
        let mut query = connection.prepare_cached(&text)?;
        Ok(query.query_row(params![owner.0, number(now), number(until)], of_row).optional()?)
    }

    fn renew_runs(
        &self,
        owner: &RunOwner,
        runs: &[RunId],
        until: u64,
    ) -> Result<Vec<RunId>, AgentStoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached(
            "UPDATE agent_runs SET claimed_until = ?3 WHERE id = ?1 AND claimed_by = ?2 AND status = 'running'",
        )?;
        let mut gone = Vec::new();
        for run in runs {
            if query.execute(params![run.as_str(), owner.0, number(until)])? == 0 {
                gone.push(run.clone());
            }
        }
        Ok(gone)
    }

    fn claimed_runs(&self) -> Result<Vec<(RunId, RunOwner, u64)>, AgentStoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached(
            "SELECT id, coalesce(claimed_by, ''), coalesce(claimed_until, 0) FROM agent_runs WHERE status = 'running'",
        )?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, RunOwner(row.get(1)?), unsigned(row.get(2)?)))
        })?;
        let mut claimed = Vec::new();
        for row in rows {
            let (id, owner, until) = row?;
            claimed.extend(RunId::read(&id).map(|id| (id, owner, until)));
        }
        Ok(claimed)
    }

    fn break_off(
        &self,
        id: &RunId,
        owner: &RunOwner,
        again: bool,
        now: u64,
    ) -> Result<bool, AgentStoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let still = "WHERE id = ?1 AND status = 'running' AND coalesce(claimed_by, '') = ?2";
        let changed = if again {
            let text = format!(
                "UPDATE agent_runs SET status = 'queued', started = NULL, deadline = NULL, turn = NULL, claimed_by = NULL, claimed_until = NULL {still}"
            );
            transaction.execute(&text, params![id.as_str(), owner.0])?
        } else {
            let text = format!(
                "UPDATE agent_runs SET status = 'failed', error = 'the proxy was restarted', kind = 'restarted', ended = ?3, \
                 claimed_by = NULL, claimed_until = NULL {still}"
            );
            transaction.execute(&text, params![id.as_str(), owner.0, number(now)])?
        };
        if changed > 0 {
            transaction.execute(
                "UPDATE agent_messages SET run = NULL WHERE run = ?1 AND state = 'unread'",
                [id.as_str()],
            )?;
            transaction
                .execute("UPDATE agent_run_inputs SET state = 'waiting' WHERE run = ?1", [id.as_str()])?;
        }
        transaction.commit()?;
        Ok(changed > 0)
    }

    fn add_turn(&self, id: &RunId, usage: RunUsage, turn: Option<&str>) -> Result<(), AgentStoreError> {
        self.connection().execute(
            "UPDATE agent_runs SET turns = turns + ?2, input_tokens = input_tokens + ?3, cached_tokens = cached_tokens + ?4, \
             output_tokens = output_tokens + ?5, reasoning_tokens = reasoning_tokens + ?6, turn = coalesce(?7, turn) WHERE id = ?1",
            params![
                id.as_str(),
                number(usage.turns),
                number(usage.input_tokens),
                number(usage.cached_tokens),
                number(usage.output_tokens),
                number(usage.reasoning_tokens),
                turn,
            ],
        )?;
        Ok(())
    }

    fn end_run(&self, id: &RunId, outcome: &RunOutcome, now: u64) -> Result<EndedRun, AgentStoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let waits: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM agent_run_inputs WHERE run = ?1 AND state = 'waiting')",
            [id.as_str()],
            |row| row.get(0),
        )?;
        if waits && matches!(outcome, RunOutcome::Completed(_)) {
            let open = find(&transaction, id)?.is_some_and(|run| !run.status.is_over());
            return Ok(if open { EndedRun::InputWaits } else { EndedRun::WasOver });
        }
        let (result, error) = match outcome {
            RunOutcome::Completed(result) => (Some(result.as_str()), None),
            RunOutcome::Failed(error) => (None, Some((error.message.as_str(), error.code.as_str()))),
            RunOutcome::TimedOut => {
                (None, Some(("it took longer than its timeout, and was stopped", "timeout")))
            }
            RunOutcome::Cancelled => (None, Some(("it was cancelled", "cancelled"))),
        };
        let changed = transaction.execute(
            "UPDATE agent_runs SET status = ?2, result = coalesce(?3, result), error = ?4, kind = ?5, ended = ?6, claimed_by = NULL, \
             claimed_until = NULL WHERE id = ?1 AND status IN ('queued', 'running')",
            params![
                id.as_str(),
                outcome.status().name(),
                result,
                error.map(|(message, _)| message),
                error.map(|(_, kind)| kind),
                number(now),
            ],
        )?;
        if changed == 0 {
            return Ok(EndedRun::WasOver);
        }
        let run = find(&transaction, id)?;
        transaction.execute(
            "UPDATE agent_messages SET run = NULL WHERE run = ?1 AND state = 'unread'",
            [id.as_str()],
        )?;
        transaction.commit()?;
        Ok(run.map_or(EndedRun::WasOver, |run| EndedRun::Ended(Box::new(run))))
    }

    fn push_input(&self, id: &RunId, text: &str, now: u64) -> Result<PushedInput, AgentStoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(run) = find(&transaction, id)? else { return Ok(PushedInput::Unknown) };
        if run.status.is_over() {
            return Ok(PushedInput::Over);
        }
        let waiting: i64 = transaction.query_row(
            "SELECT count(*) FROM agent_run_inputs WHERE run = ?1 AND state = 'waiting'",
            [id.as_str()],
            |row| row.get(0),
        )?;
        if unsigned(waiting) >= MAX_WAITING_INPUTS {
            return Ok(PushedInput::Full);
        }
        let next: i64 = transaction.query_row(
            "INSERT INTO agent_run_inputs (run, number, text, state, at) \
             SELECT ?1, 1 + coalesce((SELECT max(number) FROM agent_run_inputs WHERE run = ?1), 0), ?2, 'waiting', ?3 RETURNING number",
            params![id.as_str(), text, number(now)],
            |row| row.get(0),
        )?;
        transaction.commit()?;
        Ok(PushedInput::Waits(unsigned(next)))
    }

    fn take_inputs(&self, id: &RunId) -> Result<Vec<RunInput>, AgentStoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached(
            "UPDATE agent_run_inputs SET state = 'taken' WHERE run = ?1 AND state = 'waiting' RETURNING number, text",
        )?;
        let rows = query.query_map([id.as_str()], |row| {
            Ok(RunInput { number: unsigned(row.get(0)?), text: row.get(1)? })
        })?;
        let mut inputs: Vec<RunInput> = rows.collect::<Result<_, _>>()?;
        inputs.sort_by_key(|input| input.number);
        Ok(inputs)
    }

    fn take_input(&self, id: &RunId, number: u64) -> Result<bool, AgentStoreError> {
        let taken = self.connection().execute(
            "UPDATE agent_run_inputs SET state = 'taken' WHERE run = ?1 AND number = ?2 AND state = 'waiting'",
            params![id.as_str(), self::number(number)],
        )?;
        Ok(taken > 0)
    }

    fn return_input(&self, id: &RunId, number: u64) -> Result<bool, AgentStoreError> {
        let returned = self.connection().execute(
            "UPDATE agent_run_inputs SET state = 'waiting' WHERE run = ?1 AND number = ?2 \
             AND EXISTS (SELECT 1 FROM agent_runs WHERE id = ?1 AND status IN ('queued', 'running'))",
            params![id.as_str(), self::number(number)],
        )?;
        Ok(returned > 0)
    }

    fn keep_events(&self, id: &RunId, events: &[u8]) -> Result<(), AgentStoreError> {
        self.connection().execute(
            "INSERT INTO agent_run_events (run, events) SELECT id, ?2 FROM agent_runs WHERE id = ?1 \
             ON CONFLICT (run) DO NOTHING",
            params![id.as_str(), events],
        )?;
        Ok(())
    }

    fn events(&self, id: &RunId) -> Result<Option<Vec<u8>>, AgentStoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached("SELECT events FROM agent_run_events WHERE run = ?1")?;
        Ok(query.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    fn delete_run(&self, id: &RunId) -> Result<bool, AgentStoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone = transaction.execute(
            "DELETE FROM agent_runs WHERE id = ?1 AND status NOT IN ('queued', 'running')",
            [id.as_str()],
        )?;
        forget_what_is_left(&transaction)?;
        transaction.commit()?;
        Ok(gone > 0)
    }

    fn clean_up(&self, before: u64) -> Result<u64, AgentStoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let runs = transaction.execute(
            "DELETE FROM agent_runs WHERE cleanup = 'delete' AND ended < ?1 AND status NOT IN ('queued', 'running')",
            [number(before)],
        )?;
        if runs > 0 {
            forget_what_is_left(&transaction)?;
        }
        let messages = transaction.execute(
            "DELETE FROM agent_messages WHERE state <> 'unread' AND delivered < ?1",
            [number(before)],
        )?;
        transaction.commit()?;
        Ok(u64::try_from(runs + messages).unwrap_or(u64::MAX))
    }
}

/// What belonged to runs that are gone.
fn forget_what_is_left(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM agent_run_inputs WHERE run NOT IN (SELECT id FROM agent_runs)", [])?;
    connection.execute("DELETE FROM agent_run_events WHERE run NOT IN (SELECT id FROM agent_runs)", [])?;
    Ok(())
}

fn find(connection: &Connection, id: &RunId) -> Result<Option<AgentRun>, AgentStoreError> {
    let mut query = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM agent_runs WHERE id = ?1"))?;
    Ok(query.query_row([id.as_str()], of_row).optional()?)
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<AgentRun> {
    let time = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(unsigned));
    let count = |column: &str| Ok::<_, rusqlite::Error>(unsigned(row.get(column)?));
    let word = |column: &str| row.get::<_, String>(column);
    let message: Option<String> = row.get("error")?;
    let kind: Option<String> = row.get("kind")?;
    let id: String = row.get("id")?;
    let parent: Option<String> = row.get("parent")?;
    Ok(AgentRun {
        id: RunId::read(&id).ok_or(rusqlite::Error::InvalidQuery)?,
        profile: row.get("profile")?,
        // Of a newer latimer: for this one it is over.
        status: RunStatus::of(&word("status")?).unwrap_or(RunStatus::Failed),
        mode: RunMode::of(&word("mode")?).unwrap_or(RunMode::Detached),
        input: row.get("input")?,
        result: row.get("result")?,
        error: message.map(|message| RunError::new(kind.unwrap_or_default(), message)),
        turn: row.get("turn")?,
        parent: parent.as_deref().and_then(RunId::read),
        schedule: row.get("schedule")?,
        timeout: count("timeout")?,
        cleanup: Cleanup::of(&word("cleanup")?).unwrap_or(Cleanup::Keep),
        created: count("created")?,
        started: time("started")?,
        ended: time("ended")?,
        deadline: time("deadline")?,
        usage: RunUsage {
            turns: count("turns")?,
            input_tokens: count("input_tokens")?,
            cached_tokens: count("cached_tokens")?,
            output_tokens: count("output_tokens")?,
            reasoning_tokens: count("reasoning_tokens")?,
        },
    })
}
