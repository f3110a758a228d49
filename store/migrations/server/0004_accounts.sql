-- What a token may do, and when it was last used: written now and then, at most
-- once a minute.
ALTER TABLE tokens ADD COLUMN scope TEXT NOT NULL DEFAULT 'owner' CHECK (scope IN ('owner', 'check-in', 'read'));
ALTER TABLE tokens ADD COLUMN used_at INTEGER;

-- Invitations to register that nobody has used yet, by the hash of their code.
CREATE TABLE invites (
  hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX invites_by_end ON invites (expires_at);

-- The code that was last sent to an email, and how many were since the hour
-- began. Both the email and the code are keyed hashes; a code is NULL when it has
-- been used.
CREATE TABLE codes (
  email      BLOB    NOT NULL PRIMARY KEY CHECK (length(email) = 32),
  code       BLOB             CHECK (length(code) = 32),
  tries      INTEGER NOT NULL CHECK (tries >= 0), -- that are left
  expires_at INTEGER NOT NULL,
  sent       INTEGER NOT NULL CHECK (sent > 0),
  since      INTEGER NOT NULL -- the hour began
) STRICT, WITHOUT ROWID;

CREATE INDEX codes_by_hour ON codes (since);

-- Users who are being removed, and who were removed lately: a server that still
-- works for one must not begin anything new.
CREATE TABLE removals (
  user_id TEXT    NOT NULL PRIMARY KEY CHECK (user_id <> ''),
  state   TEXT    NOT NULL CHECK (state IN ('closing', 'deleting', 'done')),
  since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The authorizations that were claimed at Hosts of removed users, by keyed hashes:
-- they stay spent, and nobody can read who paid.
CREATE TABLE spent (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;
