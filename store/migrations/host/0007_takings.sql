-- What payments came to, by the day (of 1970 on, UTC) on which they were begun
-- and by event: what a million payments make is read from a few rows. Triggers
-- keep them, so that no way to change a payment can forget to. Whoever makes
-- payments or refunds anew must make the triggers anew as well.
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

-- A row that is inserted here counts a payment of this state, with a refund of
-- that one ('': there is none), once more (1) or once less (-1).
CREATE VIEW takings (payment_id, state, refund, n) AS SELECT '', '', '', 0 WHERE 0;

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

CREATE TRIGGER takings_payment_made AFTER INSERT ON payments
BEGIN
  INSERT INTO takings VALUES (NEW.id, NEW.state, '', 1);
END;

CREATE TRIGGER takings_payment_changed AFTER UPDATE OF state ON payments WHEN NEW.state <> OLD.state
BEGIN
  INSERT INTO takings VALUES
    (NEW.id, OLD.state, coalesce((SELECT state FROM refunds WHERE payment_id = NEW.id), ''), -1),
    (NEW.id, NEW.state, coalesce((SELECT state FROM refunds WHERE payment_id = NEW.id), ''), 1);
END;

CREATE TRIGGER takings_refund_made AFTER INSERT ON refunds
BEGIN
  INSERT INTO takings VALUES
    (NEW.payment_id, (SELECT state FROM payments WHERE id = NEW.payment_id), '', -1),
    (NEW.payment_id, (SELECT state FROM payments WHERE id = NEW.payment_id), NEW.state, 1);
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

INSERT INTO takings_by_day (day, settled, refunded, pending, owed)
  SELECT p.created_at / 86400000,
    coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state IS NULL), 0),
    coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state = 'settled'), 0),
    coalesce(sum(p.amount) FILTER (WHERE p.state = 'settling'), 0),
    coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state IN ('owed', 'settling')), 0)
  FROM payments p LEFT JOIN refunds f ON f.payment_id = p.id GROUP BY 1;

INSERT INTO takings_by_event (event_id, settled, refunded, pending, owed)
  SELECT r.event_id,
    coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state IS NULL), 0),
    coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state = 'settled'), 0),
    coalesce(sum(p.amount) FILTER (WHERE p.state = 'settling'), 0),
    coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state IN ('owed', 'settling')), 0)
  FROM payments p JOIN rsvps r ON r.id = p.rsvp_id LEFT JOIN refunds f ON f.payment_id = p.id GROUP BY 1;

-- Of these sums it was the index.
DROP INDEX payments_by_state;
-- The order of the ledger.
CREATE INDEX payments_by_time ON payments (created_at, id);
-- Counts of an event's RSVPs, and lists of those in one state.
CREATE INDEX rsvps_by_status ON rsvps (event_id, status);
CREATE INDEX rsvps_arrived ON rsvps (event_id) WHERE status = 'confirmed' AND checked_in_at IS NOT NULL;
-- Lists of events that were cancelled.
CREATE INDEX events_cancelled ON events (starts_at, id) WHERE cancelled = 1;
