-- What a Guest has signed for, what its person approved, and what was booked.
-- Times are milliseconds since 1970 UTC, amounts atomic units of USDC; addresses
-- and nonces are in the form block explorers show.

-- A row is there before its authorization is signed, so that no crash and no
-- other process spends the same money again.
CREATE TABLE expenses (
  id           INTEGER PRIMARY KEY,
  call         BLOB    NOT NULL CHECK (length(call) = 32), -- a hash of the payer, the Host, the tool and its arguments
  host         TEXT    NOT NULL,
  tool         TEXT    NOT NULL,
  about        TEXT    NOT NULL, -- in the Host's words
  network      TEXT    NOT NULL,
  asset        TEXT    NOT NULL,
  payer        TEXT    NOT NULL,
  pay_to       TEXT    NOT NULL,
  amount       INTEGER NOT NULL CHECK (amount > 0),
  nonce        TEXT    NOT NULL,
  valid_before INTEGER NOT NULL,
  payment      BLOB,             -- as it is sent; NULL once the outcome is known
  state        TEXT    NOT NULL CHECK (state IN ('reserved', 'signed', 'paid', 'refused', 'released')),
  rsvp_id      TEXT    NOT NULL DEFAULT '',
  transaction_hash TEXT NOT NULL DEFAULT '',
  created_at   INTEGER NOT NULL,
  decided_at   INTEGER,
  UNIQUE (network, asset, payer, nonce)
) STRICT;

CREATE UNIQUE INDEX expenses_open ON expenses (call) WHERE state IN ('reserved', 'signed');
CREATE INDEX expenses_spent ON expenses (payer, network, created_at) WHERE state <> 'released';

-- What a person was asked, and said.
CREATE TABLE approvals (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given again
  call       BLOB    NOT NULL CHECK (length(call) = 32),
  host       TEXT    NOT NULL,
  tool       TEXT    NOT NULL,
  about      TEXT    NOT NULL,
  network    TEXT    NOT NULL,
  asset      TEXT    NOT NULL,
  payer      TEXT    NOT NULL,
  pay_to     TEXT    NOT NULL,
  amount     INTEGER NOT NULL CHECK (amount > 0),
  state      TEXT    NOT NULL CHECK (state IN ('asked', 'approved', 'denied', 'used', 'expired')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX approvals_live ON approvals (call, network, asset, pay_to, amount)
  WHERE state IN ('asked', 'approved', 'denied');

CREATE TABLE rsvps (
  payer      TEXT    NOT NULL, -- the wallet's address, also of a free one; '' without a wallet
  host       TEXT    NOT NULL,
  id         TEXT    NOT NULL CHECK (id <> ''),
  event_id   TEXT    NOT NULL,
  title      TEXT    NOT NULL,
  seats      INTEGER NOT NULL,
  amount     INTEGER NOT NULL, -- 0: free
  status     TEXT    NOT NULL,
  booked_at  INTEGER NOT NULL,
  PRIMARY KEY (payer, host, id)
) STRICT;

CREATE INDEX rsvps_booked ON rsvps (payer, booked_at);
