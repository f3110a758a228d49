-- The public events to come of all Hosts. All of it is in their files, and is read
-- from there again when this one is lost.

CREATE TABLE hosts (
  id       INTEGER PRIMARY KEY,
  user     TEXT    NOT NULL UNIQUE CHECK (user <> ''),
  since    INTEGER NOT NULL, -- when the user registered: who comes back is another
  revision INTEGER NOT NULL, -- up to which the Host's events are known
  state    TEXT    NOT NULL, -- of its file then; '': it is to be read again
  events   INTEGER NOT NULL DEFAULT 0 -- how many of them are here
) STRICT;

CREATE INDEX hosts_by_events ON hosts (events DESC, user) WHERE events > 0;

-- doc is the start, and 20 bits that tell events of the same start apart: so the
-- words' lists, which are in the order of doc, are in that of the answer.
CREATE TABLE events (
  doc       INTEGER PRIMARY KEY,
  host      INTEGER NOT NULL REFERENCES hosts (id),
  id        TEXT    NOT NULL CHECK (id <> ''),
  starts_at INTEGER NOT NULL,
  over_at   INTEGER NOT NULL,
  revision  INTEGER NOT NULL,
  UNIQUE (host, id)
) STRICT;

CREATE INDEX events_by_end ON events (over_at);
CREATE INDEX events_by_length ON events (over_at - starts_at);

-- Marks are parts of words, as most scripts beyond the Latin one need it.
CREATE VIRTUAL TABLE texts USING fts5 (title, description, location, prefix = '2 3 4 5 6 7',
  tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* Co'");
INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1); -- what is deleted is gone
