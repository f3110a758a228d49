-- Conversations of the agent with people, who are strangers. Times are
-- milliseconds since 1970 UTC.

CREATE TABLE chats (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given again: wallets are sealed for it
  token      BLOB    NOT NULL UNIQUE CHECK (length(token) = 32), -- a hash of what the browser has
  wallet     BLOB,                              -- sealed; NULL: none yet
  created_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX chats_used ON chats (used_at, id);
CREATE INDEX chats_poor ON chats (used_at, id) WHERE wallet IS NULL;
CREATE INDEX chats_rich ON chats (id) WHERE wallet IS NOT NULL;

CREATE TABLE hosts (
  chat     INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
  url      TEXT    NOT NULL,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (chat, url)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  chat     INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
  role     TEXT    NOT NULL CHECK (role IN ('person', 'agent')),
  kind     TEXT    NOT NULL CHECK (kind <> ''),
  text     TEXT    NOT NULL,
  data     TEXT    NOT NULL DEFAULT '',  -- JSON
  approval INTEGER NOT NULL DEFAULT 0,   -- the question in the purse that it is about; 0: none
  said_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_of ON messages (chat, id);
