-- A payment that is settled, or owed, stays open until its transfer is too deep
-- in the chain to be replaced. SQLite can't change a CHECK, so the table is made
-- anew.
CREATE TABLE payments_2 (
  id           TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
  rsvp_id      TEXT    NOT NULL UNIQUE REFERENCES rsvps (id),
  state        TEXT    NOT NULL CHECK (state IN ('settling', 'settled', 'failed', 'owed', 'refunded')),
  open         INTEGER NOT NULL CHECK (open IN (0, 1)),
  x402_version INTEGER NOT NULL,
  network      TEXT    NOT NULL,
  asset        TEXT    NOT NULL,
  payer        TEXT    NOT NULL,
  pay_to       TEXT    NOT NULL,
  amount       INTEGER NOT NULL CHECK (amount >= 0),
  nonce        TEXT    NOT NULL,
  valid_after  INTEGER NOT NULL,
  valid_before INTEGER NOT NULL,
  signature    BLOB,
  since        INTEGER NOT NULL,
  tx           TEXT,
  block        INTEGER NOT NULL DEFAULT 0, -- of tx
  reason       TEXT    NOT NULL DEFAULT '',
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  CHECK (open = 1 OR state <> 'settling'),
  CHECK ((state IN ('settling', 'failed')) = (tx IS NULL)),
  -- Whoever reads a backup must find no authorization that can still be used
  -- for nothing.
  CHECK (open = 1 OR signature IS NULL)
) STRICT;

INSERT INTO payments_2 (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce,
    valid_after, valid_before, signature, since, tx, reason, created_at, updated_at)
  SELECT id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce,
    valid_after, valid_before, signature, since, tx, reason, created_at, updated_at FROM payments;

DROP TABLE payments;
ALTER TABLE payments_2 RENAME TO payments;

CREATE UNIQUE INDEX payments_one_per_authorization ON payments (network, asset, payer, nonce)
  WHERE open = 1 OR state <> 'failed';

CREATE INDEX payments_by_state ON payments (state, amount);
