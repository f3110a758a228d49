PRAGMA application_id = 1702257512;
PRAGMA user_version = 7;
CREATE TABLE abandoned (
  payment_id TEXT    NOT NULL PRIMARY KEY CHECK (payment_id <> ''),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE cleared (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  n   INTEGER NOT NULL
) STRICT;
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
  search      TEXT    NOT NULL, cancel_until INTEGER, revision INTEGER NOT NULL DEFAULT 0, changed_at INTEGER NOT NULL DEFAULT 0, unlisted INTEGER NOT NULL DEFAULT 0 CHECK (unlisted IN (0, 1)),
  CHECK (capacity = 0 OR seats_taken <= capacity)
) STRICT;
CREATE TABLE "payments" (
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
CREATE TABLE restored (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  restored_to INTEGER NOT NULL,
  restored_at INTEGER NOT NULL,
  wallet      TEXT    NOT NULL,
  next_block  INTEGER NOT NULL DEFAULT 0, -- up to which it was looked at; 0: not yet
  looked      INTEGER NOT NULL DEFAULT 0 CHECK (looked IN (0, 1)) -- all that was sent before is known
) STRICT;
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
, checked_in_at INTEGER) STRICT;
CREATE TABLE strays (
  network TEXT    NOT NULL,
  asset   TEXT    NOT NULL,
  payee   TEXT    NOT NULL,
  amount  INTEGER NOT NULL,
  payer   TEXT    NOT NULL, -- the Host's wallet
  nonce   TEXT    NOT NULL,
  tx      TEXT    NOT NULL,
  block   INTEGER NOT NULL,
  PRIMARY KEY (network, asset, payee, amount, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE takings_by_day (
  day      INTEGER NOT NULL PRIMARY KEY,
  settled  INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  pending  INTEGER NOT NULL,
  owed     INTEGER NOT NULL
) STRICT;
CREATE TABLE takings_by_event (
  event_id TEXT    NOT NULL PRIMARY KEY REFERENCES events (id),
  settled  INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  pending  INTEGER NOT NULL,
  owed     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE wallet (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  sealed     BLOB    NOT NULL CHECK (length(sealed) > 0),
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_length ON events (over_at - starts_at);
CREATE UNIQUE INDEX events_by_revision ON events (revision);
CREATE INDEX events_by_start ON events (starts_at, id, over_at);
CREATE INDEX events_cancelled ON events (starts_at, id) WHERE cancelled = 1;
CREATE INDEX payments_by_time ON payments (created_at, id);
CREATE UNIQUE INDEX payments_one_per_authorization ON payments (network, asset, payer, nonce)
  WHERE open = 1 OR state <> 'failed';
CREATE UNIQUE INDEX refunds_one_per_authorization ON refunds (payer, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX refunds_open ON refunds (retry_at, payment_id) WHERE state <> 'settled';
CREATE INDEX rsvps_arrived ON rsvps (event_id) WHERE status = 'confirmed' AND checked_in_at IS NOT NULL;
CREATE INDEX rsvps_by_event ON rsvps (event_id);
CREATE INDEX rsvps_by_status ON rsvps (event_id, status);
CREATE UNIQUE INDEX rsvps_one_per_email ON rsvps (event_id, email_key)
  WHERE email_key IS NOT NULL AND status IN ('pending', 'confirmed');
CREATE UNIQUE INDEX rsvps_one_per_payer ON rsvps (event_id, payer)
  WHERE payer IS NOT NULL AND status IN ('pending', 'confirmed');
CREATE VIEW takings (payment_id, state, refund, n) AS SELECT '', '', '', 0 WHERE 0;
INSERT INTO abandoned (payment_id, created_at) VALUES ('pay-7', 1780315260000);
INSERT INTO cleared (one, n) VALUES (1, 0);
INSERT INTO events (id, title, description, starts_at, ends_at, time_zone, location, capacity, seats_taken, price, cancelled, created_at, search, cancel_until, revision, changed_at, unlisted) VALUES ('late', 'Tea', 'With cake', 1780401600000, NULL, 'Europe/Berlin', 'The garden', 0, 1, 1000000, 0, 1780315260000, 'teawith cakethe garden', 1780398000000, 1, 1780315260000, 0);
INSERT INTO events (id, title, description, starts_at, ends_at, time_zone, location, capacity, seats_taken, price, cancelled, created_at, search, cancel_until, revision, changed_at, unlisted) VALUES ('open', 'Tea', 'With cake', 1780401600000, NULL, 'Europe/Berlin', '', 0, 1, 2000000, 0, 1780315200000, 'teawith cake', NULL, 2, 1780315200000, 0);
INSERT INTO events (id, title, description, starts_at, ends_at, time_zone, location, capacity, seats_taken, price, cancelled, created_at, search, cancel_until, revision, changed_at, unlisted) VALUES ('opera', 'L''Opéra', 'With cake', 1780401600000, NULL, 'Europe/Berlin', 'The garden', 4, 3, 1000000, 0, 1780315200000, 'l''opérawith cakethe garden', NULL, 3, 1780315200000, 0);
INSERT INTO events (id, title, description, starts_at, ends_at, time_zone, location, capacity, seats_taken, price, cancelled, created_at, search, cancel_until, revision, changed_at, unlisted) VALUES ('tea', 'Tea', 'With cake', 1780401600000, 1780408800000, 'Europe/Berlin', 'The garden', 5, 2, 0, 0, 1780315200000, 'teawith cakethe garden', NULL, 4, 1780315200000, 0);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-10', 'rsvp-10', 'settled', 0, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x000000000000000000000000000000000000000b', '0x0000000000000000000000000000010000000000', 1000000, '0x000000000000000000000000000000000000000000000000000000000000000a', 1780315140000, 1780315500000, NULL, 1010, '0x000000000000000000000000000000000000000000000000000000000000000a', 10, '', 1780315260000, 1780315260000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-2', 'rsvp-2', 'settled', 0, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000003', '0x0000000000000000000000000000010000000000', 1000000, '0x0000000000000000000000000000000000000000000000000000000000000002', 1780315140000, 1780315500000, NULL, 1002, '0x0000000000000000000000000000000000000000000000000000000000000002', 2, '', 1780315200000, 1780315200000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-3', 'rsvp-3', 'failed', 0, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000004', '0x0000000000000000000000000000010000000000', 2000000, '0x0000000000000000000000000000000000000000000000000000000000000003', 1780315140000, 1780315500000, NULL, 1003, NULL, 0, 'insufficient_funds', 1780315200000, 1780315200000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-4', 'rsvp-4', 'owed', 0, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000005', '0x0000000000000000000000000000010000000000', 1000000, '0x0000000000000000000000000000000000000000000000000000000000000004', 1780315140000, 1780315500000, NULL, 1004, '0x0000000000000000000000000000000000000000000000000000000000000004', 4, '', 1780315200000, 1780315200000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-5', 'rsvp-5', 'settling', 1, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000006', '0x0000000000000000000000000000010000000000', 3000000, '0x0000000000000000000000000000000000000000000000000000000000000005', 1780315140000, 1780315500000, X'01020305', 1005, NULL, 0, '', 1780315200000, 1780315200000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-6', 'rsvp-6', 'settled', 1, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000007', '0x0000000000000000000000000000010000000000', 1000000, '0x0000000000000000000000000000000000000000000000000000000000000006', 1780315140000, 1780315500000, X'01020306', 1006, '0x0000000000000000000000000000000000000000000000000000000000000006', 6, '', 1780315200000, 1780315200000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-8', 'rsvp-8', 'settled', 0, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0000000000000000000000000000000000000009', '0x0000000000000000000000000000010000000000', 1000000, '0x0000000000000000000000000000000000000000000000000000000000000008', 1780315140000, 1780315500000, NULL, 1008, '0x0000000000000000000000000000000000000000000000000000000000000008', 8, '', 1780315260000, 1780315260000);
INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce, valid_after, valid_before, signature, since, tx, block, reason, created_at, updated_at) VALUES ('pay-9', 'rsvp-9', 'settled', 0, 2, 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x000000000000000000000000000000000000000A', '0x0000000000000000000000000000010000000000', 1000000, '0x0000000000000000000000000000000000000000000000000000000000000009', 1780315140000, 1780315500000, NULL, 1009, '0x0000000000000000000000000000000000000000000000000000000000000009', 9, '', 1780315260000, 1780315260000);
INSERT INTO refunds (payment_id, state, payer, nonce, valid_after, valid_before, signature, since, tx, reason, retry_at, created_at, updated_at) VALUES ('pay-2', 'owed', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', 1780315260000, 1780315260000, 1780315260000);
INSERT INTO refunds (payment_id, state, payer, nonce, valid_after, valid_before, signature, since, tx, reason, retry_at, created_at, updated_at) VALUES ('pay-4', 'owed', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', 1780315200000, 1780315200000, 1780315200000);
INSERT INTO refunds (payment_id, state, payer, nonce, valid_after, valid_before, signature, since, tx, reason, retry_at, created_at, updated_at) VALUES ('pay-8', 'settling', '0x0000000000000000000000000000010000000000', '0x0000000000000000000000000000000000000000000000000000000000000001', 1780315140000, 1780315500000, X'0901', 7, NULL, '', 1780315260000, 1780315260000, 1780315260000);
INSERT INTO refunds (payment_id, state, payer, nonce, valid_after, valid_before, signature, since, tx, reason, retry_at, created_at, updated_at) VALUES ('pay-9', 'settled', NULL, NULL, NULL, NULL, NULL, NULL, '0x000000000000000000000000000000000000000000000000000000000000006d', '', 1780315260000, 1780315260000, 1780315260000);
INSERT INTO restored (one, restored_to, restored_at, wallet, next_block, looked) VALUES (1, 1780311600000, 1780315200000, '0x2222222222222222222222222222222222222222', 1200, 0);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (1, 'rsvp-1', 'tea', 2, 'confirmed', NULL, 'Guest 1', 'guest1@example.com', 'guest1@example.com', 0, 1780315200000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (2, 'rsvp-2', 'opera', 1, 'cancelled', '0x0000000000000000000000000000000000000003', 'Guest 2', 'guest2@example.com', 'guest2@example.com', 1000000, 1780315200000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (3, 'rsvp-3', 'opera', 2, 'failed', '0x0000000000000000000000000000000000000004', 'Guest 3', 'guest3@example.com', 'guest3@example.com', 2000000, 1780315200000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (4, 'rsvp-4', 'opera', 1, 'failed', '0x0000000000000000000000000000000000000005', 'Guest 4', 'guest4@example.com', 'guest4@example.com', 1000000, 1780315200000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (5, 'rsvp-5', 'opera', 3, 'pending', '0x0000000000000000000000000000000000000006', 'Guest 5', 'guest5@example.com', 'guest5@example.com', 3000000, 1780315200000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (6, 'rsvp-6', 'open', 1, 'confirmed', '0x0000000000000000000000000000000000000007', 'Guest 6', 'guest6@example.com', 'guest6@example.com', 1000000, 1780315200000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (7, 'rsvp-8', 'late', 1, 'cancelled', '0x0000000000000000000000000000000000000009', 'Guest 8', 'guest8@example.com', 'guest8@example.com', 1000000, 1780315260000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (8, 'rsvp-9', 'late', 1, 'refunded', '0x000000000000000000000000000000000000000A', 'Guest 9', 'guest9@example.com', 'guest9@example.com', 1000000, 1780315260000, NULL);
INSERT INTO rsvps (seq, id, event_id, seats, status, payer, name, email, email_key, amount, created_at, checked_in_at) VALUES (9, 'rsvp-10', 'late', 1, 'confirmed', '0x000000000000000000000000000000000000000b', 'Guest 10', 'guest10@example.com', 'guest10@example.com', 1000000, 1780315260000, 1780315260000);
INSERT INTO strays (network, asset, payee, amount, payer, nonce, tx, block) VALUES ('eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x1111111111111111111111111111111111111111', 2500000, '0x2222222222222222222222222222222222222222', '0x0101010101010101010101010101010101010101010101010101010101010101', '0x0202020202020202020202020202020202020202020202020202020202020202', 1100);
INSERT INTO takings_by_day (day, settled, refunded, pending, owed) VALUES (20605, 2000000, 1000000, 3000000, 3000000);
INSERT INTO takings_by_event (event_id, settled, refunded, pending, owed) VALUES ('late', 1000000, 1000000, 0, 1000000);
INSERT INTO takings_by_event (event_id, settled, refunded, pending, owed) VALUES ('open', 1000000, 0, 0, 0);
INSERT INTO takings_by_event (event_id, settled, refunded, pending, owed) VALUES ('opera', 0, 0, 3000000, 2000000);
INSERT INTO wallet (one, sealed, created_at) VALUES (1, X'61207365616C65642077616C6C6574', 1780315260000);
CREATE TRIGGER takings_counted INSTEAD OF INSERT ON takings
BEGIN
  INSERT INTO takings_by_day (day, settled, refunded, pending, owed)
    SELECT created_at / 86400000,
      NEW.n * amount * (NEW.state IN ('settled', 'owed') AND NEW.refund = ''),
      NEW.n * amount * (NEW.state IN ('settled', 'owed') AND NEW.refund = 'settled'),
      NEW.n * amount * (NEW.state = 'settling'),
      NEW.n * amount * (NEW.state IN ('settled', 'owed') AND NEW.refund IN ('owed', 'settling'))
    FROM payments WHERE id = NEW.payment_id
    ON CONFLICT (day) DO UPDATE SET settled = settled + excluded.settled, refunded = refunded + excluded.refunded,
      pending = pending + excluded.pending, owed = owed + excluded.owed;
  INSERT INTO takings_by_event (event_id, settled, refunded, pending, owed)
    SELECT r.event_id,
      NEW.n * p.amount * (NEW.state IN ('settled', 'owed') AND NEW.refund = ''),
      NEW.n * p.amount * (NEW.state IN ('settled', 'owed') AND NEW.refund = 'settled'),
      NEW.n * p.amount * (NEW.state = 'settling'),
      NEW.n * p.amount * (NEW.state IN ('settled', 'owed') AND NEW.refund IN ('owed', 'settling'))
    FROM payments p JOIN rsvps r ON r.id = p.rsvp_id WHERE p.id = NEW.payment_id
    ON CONFLICT (event_id) DO UPDATE SET settled = settled + excluded.settled, refunded = refunded + excluded.refunded,
      pending = pending + excluded.pending, owed = owed + excluded.owed;
END;
CREATE TRIGGER takings_payment_changed AFTER UPDATE OF state ON payments WHEN NEW.state <> OLD.state
BEGIN
  INSERT INTO takings VALUES
    (NEW.id, OLD.state, coalesce((SELECT state FROM refunds WHERE payment_id = NEW.id), ''), -1),
    (NEW.id, NEW.state, coalesce((SELECT state FROM refunds WHERE payment_id = NEW.id), ''), 1);
END;
CREATE TRIGGER takings_payment_made AFTER INSERT ON payments
BEGIN
  INSERT INTO takings VALUES (NEW.id, NEW.state, '', 1);
END;
CREATE TRIGGER takings_refund_changed AFTER UPDATE OF state ON refunds WHEN NEW.state <> OLD.state
BEGIN
  INSERT INTO takings VALUES
    (NEW.payment_id, (SELECT state FROM payments WHERE id = NEW.payment_id), OLD.state, -1),
    (NEW.payment_id, (SELECT state FROM payments WHERE id = NEW.payment_id), NEW.state, 1);
END;
CREATE TRIGGER takings_refund_dropped AFTER DELETE ON refunds
BEGIN
  INSERT INTO takings VALUES
    (OLD.payment_id, (SELECT state FROM payments WHERE id = OLD.payment_id), OLD.state, -1),
    (OLD.payment_id, (SELECT state FROM payments WHERE id = OLD.payment_id), '', 1);
END;
CREATE TRIGGER takings_refund_made AFTER INSERT ON refunds
BEGIN
  INSERT INTO takings VALUES
    (NEW.payment_id, (SELECT state FROM payments WHERE id = NEW.payment_id), '', -1),
    (NEW.payment_id, (SELECT state FROM payments WHERE id = NEW.payment_id), NEW.state, 1);
END;
