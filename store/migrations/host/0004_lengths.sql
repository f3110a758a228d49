-- How long the longest event is: a list from some time on need not look at what
-- began earlier than that before it.
CREATE INDEX events_by_length ON events (over_at - starts_at);
