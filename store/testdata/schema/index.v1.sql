PRAGMA application_id = 1702257513;
PRAGMA user_version = 1;
CREATE TABLE events (
  doc       INTEGER PRIMARY KEY,
  host      INTEGER NOT NULL REFERENCES hosts (id),
  id        TEXT    NOT NULL CHECK (id <> ''),
  starts_at INTEGER NOT NULL,
  over_at   INTEGER NOT NULL,
  revision  INTEGER NOT NULL,
  UNIQUE (host, id)
) STRICT;
CREATE TABLE hosts (
  id       INTEGER PRIMARY KEY,
  user     TEXT    NOT NULL UNIQUE CHECK (user <> ''),
  since    INTEGER NOT NULL, -- when the user registered: who comes back is another
  revision INTEGER NOT NULL, -- up to which the Host's events are known
  state    TEXT    NOT NULL, -- of its file then; '': it is to be read again
  events   INTEGER NOT NULL DEFAULT 0 -- how many of them are here
) STRICT;
CREATE VIRTUAL TABLE texts USING fts5 (title, description, location, prefix = '2 3 4 5 6 7',
  tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* Co'");
CREATE INDEX events_by_end ON events (over_at);
CREATE INDEX events_by_length ON events (over_at - starts_at);
CREATE INDEX hosts_by_events ON hosts (events DESC, user) WHERE events > 0;
INSERT INTO events (doc, host, id, starts_at, over_at, revision) VALUES (1866799566028873066, 1, 'evt_1', 1780318800000, 1780322400000, 1);
INSERT INTO hosts (id, user, since, revision, state, events) VALUES (1, 'u', 1780315200000, 1, 's', 1);
INSERT INTO texts (rowid, title, description, location) VALUES (1866799566028873066, 'Tea', 'With cake', 'The garden');
