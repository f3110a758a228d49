-- What the Hosts of one server share. Times are milliseconds since 1970 UTC,
-- addresses and nonces are in the form block explorers show.

CREATE TABLE users (
  seq            INTEGER PRIMARY KEY, -- the order of the list
  id             TEXT    NOT NULL UNIQUE CHECK (id <> ''),
  wallet_address TEXT,
  created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
  user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name       TEXT    NOT NULL,
  hash       BLOB    NOT NULL CHECK (length(hash) = 32),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

-- user_id refers to no row: a claim outlives its user, and must never be
-- refused on account of the directory.
CREATE TABLE claims (
  network     TEXT    NOT NULL,
  asset       TEXT    NOT NULL,
  payer       TEXT    NOT NULL,
  nonce       TEXT    NOT NULL,
  user_id     TEXT    NOT NULL,
  payment_id  TEXT    NOT NULL UNIQUE CHECK (payment_id <> ''),
  fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
  claimed_at  INTEGER NOT NULL,
  open        INTEGER NOT NULL DEFAULT 1 CHECK (open IN (0, 1)),
  PRIMARY KEY (network, asset, payer, nonce)
) STRICT;

CREATE INDEX claims_open ON claims (claimed_at, payment_id) WHERE open = 1;
