-- Users whose Hosts may have refunds to pay. A user who is noted again gets a
-- new seq, and no seq comes twice.
CREATE TABLE debtors (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT    NOT NULL UNIQUE CHECK (user_id <> '')
) STRICT;

-- Before there was this list, money could be owed at any Host that was paid.
INSERT INTO debtors (user_id) SELECT id FROM users WHERE id IN (SELECT user_id FROM claims);
