package registry

// Len returns how many results of Get and of Match are kept.
func (c *Cache) Len() (gets, matches int) {
	for i := range c.gets.shards {
		s := &c.gets.shards[i]
		s.mu.Lock()
		gets += len(s.entries)
		s.mu.Unlock()
	}
	for i := range c.matches.shards {
		s := &c.matches.shards[i]
		s.mu.Lock()
		matches += len(s.entries)
		s.mu.Unlock()
	}
	return gets, matches
}
