//! What is kept beside the rows of turns is trimmed: at the start, and while the process runs.

use rusqlite::Connection;

/// Turns of which more is kept than their row; the newest.
const MAX_REPORTS: i64 = 50_000;

/// Deletes reports from before this moment in Unix seconds, and those that are too many; how many they were.
pub(super) fn reports(connection: &Connection, oldest: u64) -> rusqlite::Result<usize> {
    let old = connection.execute("DELETE FROM reports WHERE at < ?1", [oldest.cast_signed()])?;
    let many = connection.execute(
        "DELETE FROM reports WHERE at < (SELECT at FROM reports ORDER BY at DESC LIMIT 1 OFFSET ?1)",
        [MAX_REPORTS],
    )?;
    Ok(old + many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let connection = Connection::open_in_memory().expect("memory");
        connection
            .execute_batch(
                "CREATE TABLE reports (turn TEXT PRIMARY KEY, at INTEGER NOT NULL, report TEXT NOT NULL) STRICT;
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50100)
                 INSERT INTO reports SELECT 't' || i, i, '' FROM n;",
            )
            .expect("rows");
        assert_eq!(reports(&connection, 11).expect("trimmed"), 99, "ten are old, and the rest too many");
        let (count, oldest): (i64, i64) = connection
            .query_row("SELECT count(*), min(at) FROM reports", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("read");
        assert_eq!((count, oldest), (MAX_REPORTS + 1, 100));
        assert_eq!(reports(&connection, 0).expect("trimmed"), 0);
    }
}
