//! The table of schedules. Each step is one statement: of two processes that see the same due time, one changes the row.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{AgentDatabase, number, unsigned};
use crate::agents::names::RunId;
use crate::agents::schedule::{
    AgentSchedule, CatchUpRule, OverlapRule, ScheduleId, ScheduleStatus, TimingKind, WrittenTiming,
};
use crate::agents::store::{AgentStoreError, DueStep, ScheduleStore};
use crate::clockwork::due::MAX_STEP_BACK;

pub(super) const TABLES: &str = "
CREATE TABLE agent_schedules (
    id TEXT PRIMARY KEY, profile TEXT NOT NULL, input TEXT NOT NULL, kind TEXT NOT NULL, timing TEXT NOT NULL, zone TEXT NOT NULL,
    overlap TEXT NOT NULL, catch_up TEXT NOT NULL, enabled INTEGER NOT NULL, next_run_at INTEGER, waits INTEGER NOT NULL,
    last_run_at INTEGER, last_run TEXT, last_status TEXT, last_error TEXT, run_count INTEGER NOT NULL, created INTEGER NOT NULL,
    claimed_by TEXT, claimed_until INTEGER
) STRICT;
CREATE INDEX agent_schedules_due ON agent_schedules (next_run_at) WHERE enabled = 1;
CREATE INDEX agent_schedules_running ON agent_schedules (id) WHERE last_status = 'running';
";

const COLUMNS: &str = "id, profile, input, kind, timing, zone, overlap, catch_up, enabled, next_run_at, waits, last_run_at, last_run, \
    last_status, last_error, run_count, created";

impl ScheduleStore for AgentDatabase {
    fn add_schedule(&self, schedule: &AgentSchedule, max: u64) -> Result<bool, AgentStoreError> {
        let text = format!(
            "INSERT INTO agent_schedules ({COLUMNS}) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, NULL, NULL, NULL, NULL, 0, ?11 \
             WHERE (SELECT count(*) FROM agent_schedules) < ?12"
        );
        let added = self.connection().execute(
            &text,
            params![
                schedule.id.as_str(),
                schedule.profile,
                schedule.input,
                schedule.when.kind.name(),
                schedule.when.text,
                schedule.when.zone,
                schedule.overlap.name(),
                schedule.catch_up.name(),
                schedule.enabled,
                schedule.next_run_at.map(number),
                number(schedule.created),
                number(max),
            ],
        )?;
        Ok(added > 0)
    }

    fn schedules(&self) -> Result<Vec<AgentSchedule>, AgentStoreError> {
        self.schedules_where("TRUE ORDER BY created, id", &[])
    }

    fn schedule(&self, id: &ScheduleId) -> Result<Option<AgentSchedule>, AgentStoreError> {
        Ok(self.schedules_where("id = ?1", &[&id.as_str()])?.pop())
    }

    fn due_schedules(&self, now: u64) -> Result<Vec<AgentSchedule>, AgentStoreError> {
        // The last one: the clock was set back, and what is due next has to be reckoned anew.
        let set_back = number(now.saturating_add(MAX_STEP_BACK.as_secs()));
        self.schedules_where(
            "last_status = 'running' OR (enabled = 1 AND (next_run_at <= ?1 OR waits = 1 OR max(coalesce(last_run_at, 0), created) > ?2)) \
             ORDER BY next_run_at, id",
            &[&number(now), &set_back],
        )
    }

    fn next_due(&self) -> Result<Option<u64>, AgentStoreError> {
        let connection = self.connection();
        let mut query =
            connection.prepare_cached("SELECT min(next_run_at) FROM agent_schedules WHERE enabled = 1")?;
        Ok(query.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(unsigned))
    }

    fn claim_schedule(
        &self,
        seen: &AgentSchedule,
        step: DueStep,
        owner: &str,
        now: u64,
        until: u64,
    ) -> Result<Option<AgentSchedule>, AgentStoreError> {
        // What each step asks of the row, and what becomes of its times. Nothing may have begun since it was seen.
        let (condition, change, due, next) = match step {
            DueStep::Due { due, next } => (
                "enabled = 1 AND next_run_at = ?5",
                "next_run_at = ?6, enabled = (?6 IS NOT NULL), ",
                Some(due),
                next,
            ),
            DueStep::Waiting => {
                ("enabled = 1 AND waits = 1 AND ?5 IS NULL", "waits = (?6 IS NOT NULL), ", None, None)
            }
            DueStep::ByHand => ("?5 IS NULL", "waits = (waits AND ?6 IS NULL), ", None, None),
        };
        let text = format!(
            "UPDATE agent_schedules SET {change}run_count = run_count + 1, last_run_at = ?3, last_run = NULL, last_status = 'running', \
             last_error = NULL, claimed_by = ?2, claimed_until = ?4 \
             WHERE id = ?1 AND run_count = ?7 AND {condition} AND (claimed_until IS NULL OR claimed_until < ?3) RETURNING {COLUMNS}"
        );
        let values = params![
            seen.id.as_str(),
            owner,
            number(now),
            number(until),
            due.map(number),
            next.map(number),
            number(seen.run_count)
        ];
        let connection = self.connection();
        let mut query = connection.prepare_cached(&text)?;
        Ok(query.query_row(values, of_row).optional()?.flatten())
    }

    fn pass_schedule(
        &self,
        id: &ScheduleId,
        due: u64,
        next: Option<u64>,
        status: Option<ScheduleStatus>,
        error: Option<&str>,
    ) -> Result<bool, AgentStoreError> {
        // A run under way goes on to be told of.
        let changed = self.connection().execute(
            "UPDATE agent_schedules SET next_run_at = ?3, enabled = (?3 IS NOT NULL), last_error = coalesce(?5, last_error), \
             last_status = CASE WHEN ?4 IS NULL OR last_status = 'running' THEN last_status ELSE ?4 END \
             WHERE id = ?1 AND enabled = 1 AND next_run_at = ?2",
            params![id.as_str(), number(due), next.map(number), status.map(ScheduleStatus::name), error],
        )?;
        Ok(changed > 0)
    }

    fn queue_schedule(&self, id: &ScheduleId, due: u64, next: Option<u64>) -> Result<bool, AgentStoreError> {
        let changed = self.connection().execute(
            "UPDATE agent_schedules SET waits = 1, next_run_at = ?3 WHERE id = ?1 AND enabled = 1 AND next_run_at = ?2",
            params![id.as_str(), number(due), next.map(number)],
        )?;
        Ok(changed > 0)
    }

    fn schedule_began(
        &self,
        id: &ScheduleId,
        owner: &str,
        began: &Result<RunId, String>,
    ) -> Result<(), AgentStoreError> {
        let (run, status, error) = match began {
            Ok(run) => (Some(run.as_str()), ScheduleStatus::Running, None),
            Err(error) => (None, ScheduleStatus::Failed, Some(error)),
        };
        self.connection().execute(
            "UPDATE agent_schedules SET last_run = ?3, last_status = ?4, last_error = ?5, claimed_by = NULL, claimed_until = NULL \
             WHERE id = ?1 AND claimed_by = ?2",
            params![id.as_str(), owner, run, status.name(), error],
        )?;
        Ok(())
    }

    fn schedule_ended(
        &self,
        id: &ScheduleId,
        run: Option<&RunId>,
        status: ScheduleStatus,
        error: Option<&str>,
        now: u64,
    ) -> Result<(), AgentStoreError> {
        self.connection().execute(
            "UPDATE agent_schedules SET last_status = ?3, last_error = ?4, claimed_by = NULL, claimed_until = NULL \
             WHERE id = ?1 AND last_run IS ?2 AND last_status = 'running' AND (claimed_until IS NULL OR claimed_until < ?5)",
            params![id.as_str(), run.map(RunId::as_str), status.name(), error, number(now)],
        )?;
        Ok(())
    }

    fn switch_schedule(
        &self,
        id: &ScheduleId,
        next: Option<u64>,
    ) -> Result<Option<AgentSchedule>, AgentStoreError> {
        // Paused, it keeps its next time, which has the step; what waited waits no more.
        let text = format!(
            "UPDATE agent_schedules SET enabled = (?2 IS NOT NULL), next_run_at = coalesce(?2, next_run_at), \
             waits = (waits AND ?2 IS NOT NULL) WHERE id = ?1 RETURNING {COLUMNS}"
        );
        let connection = self.connection();
        let mut query = connection.prepare_cached(&text)?;
        Ok(query.query_row(params![id.as_str(), next.map(number)], of_row).optional()?.flatten())
    }

    fn delete_schedule(&self, id: &ScheduleId) -> Result<bool, AgentStoreError> {
        let deleted =
            self.connection().execute("DELETE FROM agent_schedules WHERE id = ?1", [id.as_str()])?;
        Ok(deleted > 0)
    }
}

impl AgentDatabase {
    fn schedules_where(
        &self,
        condition: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<AgentSchedule>, AgentStoreError> {
        let connection = self.connection();
        let text = format!("SELECT {COLUMNS} FROM agent_schedules WHERE {condition}");
        let mut query = connection.prepare_cached(&text)?;
        let rows = query.query_map(values, of_row)?;
        let rows: Vec<Option<AgentSchedule>> = rows.collect::<Result<_, _>>()?;
        Ok(rows.into_iter().flatten().collect())
    }
}

/// `None` for one of a newer latimer: whoever does not know it leaves it alone.
fn of_row(row: &Row<'_>) -> rusqlite::Result<Option<AgentSchedule>> {
    let text = |place: usize| row.get::<_, String>(place);
    let seconds = |place: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(place)?.map(unsigned));
    let (Some(id), Some(kind)) = (ScheduleId::read(&text(0)?), TimingKind::of(&text(3)?)) else {
        return Ok(None);
    };
    let (Some(overlap), Some(catch_up)) = (OverlapRule::of(&text(6)?), CatchUpRule::of(&text(7)?)) else {
        return Ok(None);
    };
    Ok(Some(AgentSchedule {
        id,
        profile: row.get(1)?,
        input: row.get(2)?,
        when: WrittenTiming { kind, text: text(4)?, zone: text(5)? },
        overlap,
        catch_up,
        enabled: row.get(8)?,
        next_run_at: seconds(9)?,
        waits: row.get(10)?,
        last_run_at: seconds(11)?,
        last_run: row.get::<_, Option<String>>(12)?.as_deref().and_then(RunId::read),
        last_status: row.get::<_, Option<String>>(13)?.as_deref().and_then(ScheduleStatus::of),
        last_error: row.get(14)?,
        run_count: unsigned(row.get(15)?),
        created: unsigned(row.get(16)?),
    }))
}
