-- Each change of an event (of itself, not a booking) takes the next number of its
-- Host: whoever knows the highest they have seen finds what changed since.
ALTER TABLE events ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
-- In no list for guests; who knows the id may see and book it.
ALTER TABLE events ADD COLUMN unlisted INTEGER NOT NULL DEFAULT 0 CHECK (unlisted IN (0, 1));

UPDATE events SET revision = rowid, changed_at = created_at;

CREATE UNIQUE INDEX events_by_revision ON events (revision);
