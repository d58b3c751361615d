package sqlitestore

// ReadBySteps has Prune read so many rows at a time.
func (s *Store) ReadBySteps(rows int64) { s.pruner.step = rows }
