-- Until when a guest may cancel; NULL is until the event starts, and no later
-- time is of use.
ALTER TABLE events ADD COLUMN cancel_until INTEGER;

ALTER TABLE rsvps ADD COLUMN checked_in_at INTEGER;

-- Money on its way back: all of a payment, to who paid it.
CREATE TABLE refunds (
  payment_id   TEXT    NOT NULL PRIMARY KEY REFERENCES payments (id),
  state        TEXT    NOT NULL CHECK (state IN ('owed', 'settling', 'settled')),
  -- The authorization of the last attempt.
  payer        TEXT,
  nonce        TEXT,
  valid_after  INTEGER,
  valid_before INTEGER,
  signature    BLOB,
  since        INTEGER,
  tx           TEXT,
  reason       TEXT    NOT NULL DEFAULT '', -- why the last attempt came to nothing
  retry_at     INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  CHECK ((state = 'settling') = (signature IS NOT NULL)),
  CHECK ((state = 'settled') = (tx IS NOT NULL)),
  CHECK (state <> 'settling' OR payer IS NOT NULL AND nonce IS NOT NULL AND valid_after IS NOT NULL
    AND valid_before IS NOT NULL AND since IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX refunds_one_per_authorization ON refunds (payer, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX refunds_open ON refunds (retry_at, payment_id) WHERE state <> 'settled';

INSERT INTO refunds (payment_id, state, retry_at, created_at, updated_at)
  SELECT id, 'owed', updated_at, updated_at, updated_at FROM payments WHERE state = 'owed';

-- How often it was found that no refund is open; see Host.Clear. One row.
CREATE TABLE cleared (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  n   INTEGER NOT NULL
) STRICT;
INSERT INTO cleared (one, n) VALUES (1, 0);

-- Sums look up a payment's refund by its id.
DROP INDEX payments_by_state;
CREATE INDEX payments_by_state ON payments (state, amount, id);
