package tools

// Bytes is what the cache holds.
func (c *Cache) Bytes() int { return c.lists.bytes + c.events.bytes }
