PRAGMA application_id = 1702257523;
PRAGMA user_version = 7;
CREATE TABLE claims (
  network     TEXT    NOT NULL,
  asset       TEXT    NOT NULL,
  payer       TEXT    NOT NULL,
  nonce       TEXT    NOT NULL,
  user_id     TEXT    NOT NULL,
  payment_id  TEXT    NOT NULL UNIQUE CHECK (payment_id <> ''),
  fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
  claimed_at  INTEGER NOT NULL,
  open        INTEGER NOT NULL DEFAULT 1 CHECK (open IN (0, 1)), identifier TEXT CHECK (length(identifier) BETWEEN 16 AND 128),
  PRIMARY KEY (network, asset, payer, nonce)
) STRICT;
CREATE TABLE codes (
  email      BLOB    NOT NULL PRIMARY KEY CHECK (length(email) = 32),
  code       BLOB             CHECK (length(code) = 32),
  tries      INTEGER NOT NULL CHECK (tries >= 0), -- that are left
  expires_at INTEGER NOT NULL,
  sent       INTEGER NOT NULL CHECK (sent > 0),
  since      INTEGER NOT NULL -- the hour began
) STRICT, WITHOUT ROWID;
CREATE TABLE debtors (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT    NOT NULL UNIQUE CHECK (user_id <> '')
) STRICT;
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
CREATE TABLE invites (
  hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE removals (
  user_id TEXT    NOT NULL PRIMARY KEY CHECK (user_id <> ''),
  state   TEXT    NOT NULL CHECK (state IN ('closing', 'deleting', 'done')),
  since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
  hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token      BLOB             CHECK (length(token) = 32),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE spent (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE tokens (
  user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name       TEXT    NOT NULL,
  hash       BLOB    NOT NULL CHECK (length(hash) = 32),
  created_at INTEGER NOT NULL, scope TEXT NOT NULL DEFAULT 'owner' CHECK (scope IN ('owner', 'check-in', 'read')), used_at INTEGER,
  PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
  user_id  TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  day      INTEGER NOT NULL,
  requests INTEGER NOT NULL CHECK (requests >= 0),
  events   INTEGER NOT NULL CHECK (events >= 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE users (
  seq            INTEGER PRIMARY KEY, -- the order of the list
  id             TEXT    NOT NULL UNIQUE CHECK (id <> ''),
  wallet_address TEXT,
  created_at     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX claims_identified ON claims (user_id, payer, identifier) WHERE identifier IS NOT NULL;
CREATE INDEX claims_open ON claims (claimed_at, payment_id) WHERE open = 1;
CREATE INDEX codes_by_hour ON codes (since);
CREATE INDEX invites_by_end ON invites (expires_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX starts_of ON starts (deployment, id);
CREATE INDEX starts_running ON starts (id) WHERE ended IS NULL;
CREATE INDEX tokens_by_hash ON tokens (hash);
INSERT INTO claims (network, asset, payer, nonce, user_id, payment_id, fingerprint, claimed_at, open, identifier) VALUES ('eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000001', '0x0000000000000000000000000000000000000000000000000000000000000000', 'ada', 'ada-0', X'6E340B9CFFB37A989CA544E6BB780A2C78901D3FB33738768511A30617AFA01D', 1780315200000, 1, NULL);
INSERT INTO claims (network, asset, payer, nonce, user_id, payment_id, fingerprint, claimed_at, open, identifier) VALUES ('eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000002', '0x0000000000000000000000000000000000000000000000000000000000000001', 'ada', 'ada-1', X'4BF5122F344554C53BDE2EBB8CD2B7E3D1600AD631C385A5D7CCE23C7785459A', 1780315201000, 0, NULL);
INSERT INTO claims (network, asset, payer, nonce, user_id, payment_id, fingerprint, claimed_at, open, identifier) VALUES ('eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000003', '0x0000000000000000000000000000000000000000000000000000000000000002', 'ada', 'ada-2', X'DBC1B4C900FFE48D575B5DA5C638040125F65DB0FE3E24494B76EA986457D986', 1780315202000, 1, NULL);
INSERT INTO debtors (seq, user_id) VALUES (1, 'ada');
INSERT INTO tokens (user_id, name, hash, created_at, scope, used_at) VALUES ('ada', 'owner', X'CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB', 1780315200000, 'owner', NULL);
INSERT INTO tokens (user_id, name, hash, created_at, scope, used_at) VALUES ('ada', 'second', X'2E7D2C03A9507AE265ECF5B5356885A53393A2029D241394997265A1A25AEFC6', 1780315200000, 'owner', NULL);
INSERT INTO tokens (user_id, name, hash, created_at, scope, used_at) VALUES ('bob', 'owner', X'3E23E8160039594A33894F6564E1B1348BBD7A0088D42C4ACB73EEAED59C009D', 1780315200000, 'owner', NULL);
INSERT INTO users (seq, id, wallet_address, created_at) VALUES (1, 'ada', '0x0000000000000000000000000000000000000007', 1780315200000);
INSERT INTO users (seq, id, wallet_address, created_at) VALUES (2, 'bob', NULL, 1780315200000);
