//! The tables of client keys, which the file of a store has beside those of the usage.

/// What the file has for keys. A salt and a hash open nothing.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS client_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL, models TEXT NOT NULL, requests TEXT,
    tokens TEXT, budget TEXT, parallel INTEGER, created_at INTEGER NOT NULL, expires_at INTEGER, rotated_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS client_keys_name ON client_keys (name) WHERE revoked_at IS NULL;
CREATE TABLE IF NOT EXISTS client_key_use (
    key TEXT NOT NULL, period TEXT NOT NULL, start INTEGER NOT NULL, ends INTEGER NOT NULL, requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL, micro_usd INTEGER NOT NULL, PRIMARY KEY (key, period, start)
) STRICT;
CREATE INDEX IF NOT EXISTS client_key_use_ends ON client_key_use (ends);
";
