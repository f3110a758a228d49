-- Browsers that are signed in, by the hash of what is in their cookie. token is the
-- hash of the token that signed one in, without which it is none any more; NULL: a
-- code did.
CREATE TABLE sessions (
  hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token      BLOB             CHECK (length(token) = 32),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Whose a token is that somebody signs in with.
CREATE INDEX tokens_by_hash ON tokens (hash);
