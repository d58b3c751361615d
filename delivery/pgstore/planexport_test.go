package pgstore

// Hot returns the statements that run while deliveries are sent, and what every
// transaction of them sets first.
func Hot(schemaName string) (settings string, texts map[string]string) {
	s, l := named(schemaName).statements(), named(schemaName).letters()
	return s.settings, map[string]string{
		"refill": s.refill, "fetch": s.fetch, "unwait": s.unwait, "wait": s.wait, "keyed": s.keyed, "reveal": s.reveal, "kill": s.kill,
		"take": s.take, "takeNote": s.takeNote, "homeLock": s.homeLock, "home": s.home, "store": s.store, "storeNew": s.storeNew, "heads": s.heads, "hidden": s.hidden, "queued": s.queued,
		"loadHeads": s.loadHeads, "loadAhead": s.loadAhead, "loadLanes": s.loadLanes,
		"letters.diff": l.diff, "letters.all": l.all, "letters.lanes": l.lanes, "letters.cancels": l.cancels, "letters.left": l.left, "letters.leftNames": l.leftNames, "letters.where": l.where,
	}
}

// ShardOf tells a lane's shard.
func ShardOf(lane string) int16 { return shardOf(lane) }
