PRAGMA application_id = 1702257520;
PRAGMA user_version = 1;
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
CREATE UNIQUE INDEX approvals_live ON approvals (call, network, asset, pay_to, amount)
  WHERE state IN ('asked', 'approved', 'denied');
CREATE UNIQUE INDEX expenses_open ON expenses (call) WHERE state IN ('reserved', 'signed');
CREATE INDEX expenses_spent ON expenses (payer, network, created_at) WHERE state <> 'released';
CREATE INDEX rsvps_booked ON rsvps (payer, booked_at);
INSERT INTO approvals (id, call, host, tool, about, network, asset, payer, pay_to, amount, state, created_at, expires_at) VALUES (1, X'0104000000000000000000000000000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_to_event', 'Jazz, 1 seat', 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0700000000000000000000000000000000000000', '0x0900000000000000000000000000000000000000', 50000, 'approved', 1800000000000, 1800000600000);
INSERT INTO expenses (id, call, host, tool, about, network, asset, payer, pay_to, amount, nonce, valid_before, payment, state, rsvp_id, transaction_hash, created_at, decided_at) VALUES (1, X'0100000000000000000000000000000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_to_event', 'Jazz, 1 seat', 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0700000000000000000000000000000000000000', '0x0900000000000000000000000000000000000000', 50000, '0x0000000000000000000000000000000000000000000000000000000000000000', 1800000060000, NULL, 'paid', 'rsvp_1', '0x01', 1800000000000, 1800000000000);
INSERT INTO expenses (id, call, host, tool, about, network, asset, payer, pay_to, amount, nonce, valid_before, payment, state, rsvp_id, transaction_hash, created_at, decided_at) VALUES (2, X'0101000000000000000000000000000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_to_event', 'Jazz, 1 seat', 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0700000000000000000000000000000000000000', '0x0900000000000000000000000000000000000000', 50000, '0x0100000000000000000000000000000000000000000000000000000000000000', 1800000060000, NULL, 'refused', 'rsvp_1', '0x01', 1800000000000, 1800000000000);
INSERT INTO expenses (id, call, host, tool, about, network, asset, payer, pay_to, amount, nonce, valid_before, payment, state, rsvp_id, transaction_hash, created_at, decided_at) VALUES (3, X'0102000000000000000000000000000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_to_event', 'Jazz, 1 seat', 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0700000000000000000000000000000000000000', '0x0900000000000000000000000000000000000000', 50000, '0x0200000000000000000000000000000000000000000000000000000000000000', 1800000060000, NULL, 'released', 'rsvp_1', '0x01', 1800000000000, 1800000000000);
INSERT INTO expenses (id, call, host, tool, about, network, asset, payer, pay_to, amount, nonce, valid_before, payment, state, rsvp_id, transaction_hash, created_at, decided_at) VALUES (4, X'0103000000000000000000000000000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_to_event', 'Jazz, 1 seat', 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0700000000000000000000000000000000000000', '0x0900000000000000000000000000000000000000', 50000, '0x0300000000000000000000000000000000000000000000000000000000000000', 1800000060000, X'7B2261223A317D', 'signed', '', '', 1800000000000, NULL);
INSERT INTO expenses (id, call, host, tool, about, network, asset, payer, pay_to, amount, nonce, valid_before, payment, state, rsvp_id, transaction_hash, created_at, decided_at) VALUES (5, X'0104000000000000000000000000000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_to_event', 'Jazz, 1 seat', 'eip155:84532', '0x036CbD53842c5426634e7929541eC2318f3dCF7e', '0x0700000000000000000000000000000000000000', '0x0900000000000000000000000000000000000000', 50000, '0x0400000000000000000000000000000000000000000000000000000000000000', 1800000060000, X'7B7D', 'reserved', '', '', 1800000000000, NULL);
INSERT INTO rsvps (payer, host, id, event_id, title, seats, amount, status, booked_at) VALUES ('0x0700000000000000000000000000000000000000', 'http://127.0.0.1:8402/mcp/users/u', 'rsvp_1', 'evt_1', 'Jazz', 1, 50000, 'confirmed', 1800000000000);
