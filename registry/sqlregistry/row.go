package sqlregistry

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// encode returns the parameters of upsert.
func encode(sealer registry.Sealer, s registry.Subscription) ([]any, error) {
	types, err := json.Marshal(s.Types)
	if err != nil {
		return nil, err
	}
	meta, err := json.Marshal(s.Meta) // nil is null
	if err != nil {
		return nil, err
	}
	sealed, err := registry.SealSecrets(sealer, s.ID, s.Secrets)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		sealed = []byte{} // the column is never null
	}
	connection, err := registry.SealConnection(sealer, s)
	if err != nil {
		return nil, err
	}
	var expires sql.NullInt64
	if !s.ExpiresAt.IsZero() {
		expires = sql.NullInt64{Int64: s.ExpiresAt.UnixMicro(), Valid: true}
	}
	return []any{
		s.ID, s.Dialect, s.Tenant, s.Scope, s.Slot, s.Label, s.URL, string(types), sealed,
		int64(s.Limits.MaxInFlight), s.Limits.PerSecond, int64(s.Limits.Timeout), string(meta),
		string(s.State), s.Reason,
		s.Since.UnixMicro(), expires, s.CreatedAt.UnixMicro(), s.Revision, connection,
	}, nil
}

type scanner interface{ Scan(dest ...any) error }

// sealedParts are the columns that a Sealer opens.
type sealedParts struct{ secrets, connection []byte }

// open fills in what is sealed.
func (p sealedParts) open(sealer registry.Sealer, s *registry.Subscription) (err error) {
	if s.Secrets, err = registry.OpenSecrets(sealer, s.ID, p.secrets); err != nil {
		return err
	}
	return registry.OpenConnection(sealer, s, p.connection)
}

// decode reads the columns, and returns the sealed ones as they are stored.
func decode(row scanner) (s registry.Subscription, sealed sealedParts, err error) {
	var (
		types, meta             []byte
		timeout, since, created int64
		expires                 sql.NullInt64
	)
	if err := row.Scan(
		&s.ID, &s.Dialect, &s.Tenant, &s.Scope, &s.Slot, &s.Label, &s.URL, &types, &sealed.secrets,
		&s.Limits.MaxInFlight, &s.Limits.PerSecond, &timeout, &meta, &s.State, &s.Reason,
		&since, &expires, &created, &s.Revision, &sealed.connection,
	); err != nil {
		return registry.Subscription{}, sealedParts{}, err
	}
	if err := json.Unmarshal(types, &s.Types); err != nil {
		return registry.Subscription{}, sealedParts{}, fmt.Errorf("types of %q: %w", s.ID, err)
	}
	if err := json.Unmarshal(meta, &s.Meta); err != nil {
		return registry.Subscription{}, sealedParts{}, fmt.Errorf("meta of %q: %w", s.ID, err)
	}
	s.Limits.Timeout = time.Duration(timeout)
	s.Since = time.UnixMicro(since).UTC()
	s.CreatedAt = time.UnixMicro(created).UTC()
	if expires.Valid {
		s.ExpiresAt = time.UnixMicro(expires.Int64).UTC()
	}
	return s, sealed, nil
}

// A matchRow is a row of subscription_type, less the ID.
type matchRow struct{ dialect, typ, scope, tenant string }

// matchRows returns the rows by which Match finds s, each once, sorted by type.
func matchRows(s registry.Subscription) []matchRow {
	if s.State != registry.Active && s.State != registry.Paused {
		return nil
	}
	types := slices.Clone(s.Types)
	slices.Sort(types)
	types = slices.Compact(types)
	rows := make([]matchRow, len(types))
	for i, typ := range types {
		rows[i] = matchRow{s.Dialect, typ, s.Scope, s.Tenant}
	}
	return rows
}
