package standardwebhooks

// Prepared is how many signers are kept.
func (d *Dialect) Prepared() int { return len(d.signers.made.bySecret) }
