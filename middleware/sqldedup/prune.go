package sqldedup

import "context"

const (
	// often is how many claims there are for each deletion, of up to few rows:
	// more than the claims can have made.
	often = 16
	few   = 64
)

// tidy deletes, by some of the claims, rows that are over, and counts by
// fewer of them how many there are.
func (s *Store) tidy(ctx context.Context) error {
	n := s.claims.Add(1)
	if n%often == 1 {
		if _, err := s.delete(ctx, s.sql.prune, few); err != nil {
			return err
		}
	}
	if n%uint64(max(1, s.limit/64)) != 0 {
		return nil
	}
	var count int
	if err := s.db.QueryRowContext(ctx, s.sql.count, s.limit).Scan(&count); err != nil {
		return err
	}
	s.full.Store(count >= s.limit)
	return nil
}

// free makes room: of what is over, or else of what need not be kept.
func (s *Store) free(ctx context.Context, limit int) (int64, error) {
	gone, err := s.delete(ctx, s.sql.prune, limit)
	if gone > 0 || err != nil {
		return gone, err
	}
	return s.delete(ctx, s.sql.evict, 1)
}

func (s *Store) delete(ctx context.Context, statement string, limit int) (int64, error) {
	res, err := s.db.ExecContext(ctx, statement, s.at(), limit)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
