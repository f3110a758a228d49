PRAGMA application_id = 1702257505;
PRAGMA user_version = 1;
CREATE TABLE chats (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given again: wallets are sealed for it
  token      BLOB    NOT NULL UNIQUE CHECK (length(token) = 32), -- a hash of what the browser has
  wallet     BLOB,                              -- sealed; NULL: none yet
  created_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL
) STRICT;
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
CREATE INDEX chats_poor ON chats (used_at, id) WHERE wallet IS NULL;
CREATE INDEX chats_rich ON chats (id) WHERE wallet IS NOT NULL;
CREATE INDEX chats_used ON chats (used_at, id);
CREATE INDEX messages_of ON messages (chat, id);
INSERT INTO chats (id, token, wallet, created_at, used_at) VALUES (1, X'3030303030303030303030303030303030303030303030303030303030303031', X'7B2263727970746F223A7B7D7D', 1800000000000, 1800000001000);
INSERT INTO chats (id, token, wallet, created_at, used_at) VALUES (2, X'3030303030303030303030303030303030303030303030303030303030303032', NULL, 1800000000000, 1800000000000);
INSERT INTO hosts (chat, url, added_at) VALUES (1, 'http://127.0.0.1:8402/mcp/users/u', 1800000000000);
INSERT INTO messages (id, chat, role, kind, text, data, approval, said_at) VALUES (1, 1, 'person', 'said', 'book 1', '', 0, 1800000000000);
INSERT INTO messages (id, chat, role, kind, text, data, approval, said_at) VALUES (2, 1, 'agent', 'approval', 'Pay $0.05?', '{"usd":"0.05"}', 1, 1800000001000);
