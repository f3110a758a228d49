-- What each user's Host was used for on the last day (number since 1970, UTC)
-- that anything was counted.
CREATE TABLE usage (
  user_id  TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  day      INTEGER NOT NULL,
  requests INTEGER NOT NULL CHECK (requests >= 0),
  events   INTEGER NOT NULL CHECK (events >= 0)
) STRICT, WITHOUT ROWID;
