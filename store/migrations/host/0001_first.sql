-- One user's Host. Amounts are atomic units of USDC, times are milliseconds
-- since 1970 UTC, addresses and hashes are in the form block explorers show.

CREATE TABLE events (
  id          TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
  title       TEXT    NOT NULL,
  description TEXT    NOT NULL,
  starts_at   INTEGER NOT NULL,
  ends_at     INTEGER CHECK (ends_at >= starts_at),
  over_at     INTEGER NOT NULL AS (coalesce(ends_at, starts_at)) STORED,
  time_zone   TEXT    NOT NULL,
  location    TEXT    NOT NULL,
  capacity    INTEGER NOT NULL CHECK (capacity >= 0), -- 0: unlimited
  seats_taken INTEGER NOT NULL DEFAULT 0 CHECK (seats_taken >= 0),
  price       INTEGER NOT NULL CHECK (price >= 0),
  cancelled   INTEGER NOT NULL DEFAULT 0 CHECK (cancelled IN (0, 1)),
  created_at  INTEGER NOT NULL,
  -- Title, description and location in lower case: SQLite by itself knows the
  -- letters of ASCII only.
  search      TEXT    NOT NULL,
  CHECK (capacity = 0 OR seats_taken <= capacity)
) STRICT;

-- The order of the list. over_at is in it so that events of the past are
-- passed over without reading them.
CREATE INDEX events_by_start ON events (starts_at, id, over_at);

CREATE TABLE rsvps (
  seq        INTEGER PRIMARY KEY, -- the order of the list
  id         TEXT    NOT NULL UNIQUE CHECK (id <> ''),
  event_id   TEXT    NOT NULL REFERENCES events (id),
  seats      INTEGER NOT NULL CHECK (seats > 0),
  status     TEXT    NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled', 'refunded', 'failed')),
  payer      TEXT,
  name       TEXT    NOT NULL,
  email      TEXT    NOT NULL,
  email_key  TEXT CHECK (email_key <> ''), -- the email as it is compared
  amount     INTEGER NOT NULL CHECK (amount >= 0),
  created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX rsvps_by_event ON rsvps (event_id);

-- One RSVP a guest and event. The code looks before it inserts; these hold
-- even where the code is wrong.
CREATE UNIQUE INDEX rsvps_one_per_payer ON rsvps (event_id, payer)
  WHERE payer IS NOT NULL AND status IN ('pending', 'confirmed');
CREATE UNIQUE INDEX rsvps_one_per_email ON rsvps (event_id, email_key)
  WHERE email_key IS NOT NULL AND status IN ('pending', 'confirmed');

CREATE TABLE payments (
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
  reason       TEXT    NOT NULL DEFAULT '',
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  -- settling is undecided, settled and owed are decided, failed is either.
  CHECK (CASE state WHEN 'settling' THEN open = 1 WHEN 'failed' THEN 1 ELSE open = 0 END),
  CHECK ((state IN ('settling', 'failed')) = (tx IS NULL)),
  -- Whoever reads a backup must find no authorization that can still be used
  -- for nothing.
  CHECK (open = 1 OR signature IS NULL)
) STRICT;

-- An authorization pays once. It may come back in another payment only after
-- the one before was closed without it.
CREATE UNIQUE INDEX payments_one_per_authorization ON payments (network, asset, payer, nonce)
  WHERE open = 1 OR state <> 'failed';

CREATE INDEX payments_by_state ON payments (state, amount);

-- Payments given up before they were held.
CREATE TABLE abandoned (
  payment_id TEXT    NOT NULL PRIMARY KEY CHECK (payment_id <> ''),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The Host's wallet, encrypted by its owner's secret. At most one row.
CREATE TABLE wallet (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  sealed     BLOB    NOT NULL CHECK (length(sealed) > 0),
  created_at INTEGER NOT NULL
) STRICT;
