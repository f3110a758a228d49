-- A payer's own name of a payment, of which they have one on a Host at a time.
-- NULL: it has none, or came to nothing and another has it now.
ALTER TABLE claims ADD COLUMN identifier TEXT CHECK (length(identifier) BETWEEN 16 AND 128);

CREATE UNIQUE INDEX claims_identified ON claims (user_id, payer, identifier) WHERE identifier IS NOT NULL;
