-- The programs that have served this directory, each from when it took over from
-- another: what can be gone back to.
CREATE TABLE deployments (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- people name it
  version    TEXT    NOT NULL,
  commit_id  TEXT    NOT NULL,
  built      TEXT    NOT NULL,
  sha256     BLOB    NOT NULL CHECK (length(sha256) = 32), -- of the program's file
  path       TEXT    NOT NULL,                             -- from which it was started
  schemas    TEXT    NOT NULL,                             -- JSON: the versions of files that it reads
  started_at INTEGER NOT NULL
) STRICT;

-- Each start of one, and how it ended. NULL: it runs, or nobody has seen yet that
-- it was killed.
CREATE TABLE starts (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  deployment    INTEGER NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
  command       TEXT    NOT NULL,
  schema_before INTEGER NOT NULL, -- of this file; 0: there was none
  started_at    INTEGER NOT NULL,
  ended_at      INTEGER,
  ended         TEXT CHECK (ended IN ('stopped', 'killed')),
  CHECK ((ended_at IS NULL) = (ended IS NULL))
) STRICT;

CREATE INDEX starts_of ON starts (deployment, id);
CREATE INDEX starts_running ON starts (id) WHERE ended IS NULL;
