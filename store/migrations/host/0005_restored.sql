-- That the file was put back to an earlier time, for as long as the chain has to
-- be looked at for what happened since. At most one row.
CREATE TABLE restored (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  restored_to INTEGER NOT NULL,
  restored_at INTEGER NOT NULL,
  wallet      TEXT    NOT NULL,
  next_block  INTEGER NOT NULL DEFAULT 0, -- up to which it was looked at; 0: not yet
  looked      INTEGER NOT NULL DEFAULT 0 CHECK (looked IN (0, 1)) -- all that was sent before is known
) STRICT;

-- Money that was sent back then, for payments that can't be told from others.
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
