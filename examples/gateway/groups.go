package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/verify"
)

// code is what is kept of a group's security code: keyed digests, never the
// code. One that was changed through /admin wins until the file's own changes.
type code struct{ file, current verify.Digest }

// codeStore keeps codes over restarts.
type codeStore interface {
	load(ctx context.Context) (map[string]code, error)
	save(ctx context.Context, groupID string, c code) error
	// check returns the sealed value that proves the key, nil if there is none.
	check(ctx context.Context) ([]byte, error)
	// keepCheck stores one unless there is one, and returns what is stored.
	keepCheck(ctx context.Context, sealed []byte) ([]byte, error)
	// shared reports whether another gateway may change them.
	shared() bool
}

// groups implements smartbots.Groups over the configured groups.
type groups struct {
	key   []byte
	store codeStore

	mu     sync.RWMutex
	byID   map[string]smartbots.Group
	byName map[string]string
	codes  map[string]code
	read   time.Time // when codes were, if they are shared
}

// codesFor is how long a code counts that another gateway may have changed.
const codesFor = time.Second

// digests are the codes that the configuration says, by the groups' ids.
func digests(list []groupConfig, key []byte) (map[string]verify.Digest, error) {
	said := make(map[string]verify.Digest, len(list))
	for _, item := range list {
		digest := verify.CodeDigest(key, item.code.Reveal())
		if item.code.IsZero() {
			var err error
			if digest, err = verify.CodeDigestSHA1(key, item.codeSHA1.Reveal()); err != nil {
				return nil, err
			}
		}
		said[item.id] = digest
	}
	return said, nil
}

func newGroups(ctx context.Context, list []groupConfig, said map[string]verify.Digest, key []byte, store codeStore) (*groups, error) {
	stored, err := store.load(ctx)
	if err != nil {
		return nil, err
	}
	g := &groups{key: key, store: store, byID: map[string]smartbots.Group{}, byName: map[string]string{}, codes: map[string]code{}}
	for _, item := range list {
		digest := said[item.id]
		c, known := stored[item.id]
		if !known || c.file != digest {
			c = code{file: digest, current: digest}
			if err := store.save(ctx, item.id, c); err != nil {
				return nil, err
			}
		}
		g.codes[item.id] = c
		g.byName[item.name] = item.id
		g.byID[item.id] = smartbots.Group{Name: item.name, UUID: item.uuid, ID: item.id, Code: c.current}
	}
	return g, nil
}

// GroupByName implements smartbots.Groups.
func (g *groups) GroupByName(ctx context.Context, name string) (smartbots.Group, bool, error) {
	g.mu.RLock()
	id := g.byName[name]
	g.mu.RUnlock()
	return g.GroupByID(ctx, id)
}

// GroupByID implements smartbots.Groups.
func (g *groups) GroupByID(ctx context.Context, id string) (smartbots.Group, bool, error) {
	if err := g.refresh(ctx); err != nil {
		return smartbots.Group{}, false, err
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	group, known := g.byID[id]
	return group, known, nil
}

// refresh reads the codes again if another gateway may have changed them.
func (g *groups) refresh(ctx context.Context) error {
	if !g.store.shared() {
		return nil
	}
	g.mu.RLock()
	fresh := time.Since(g.read) < codesFor
	g.mu.RUnlock()
	if fresh {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.read) < codesFor {
		return nil
	}
	begin := time.Now()
	stored, err := g.store.load(ctx)
	if err != nil {
		return err
	}
	g.read = begin
	for id, group := range g.byID {
		if c, known := stored[id]; known {
			group.Code = c.current
			g.codes[id], g.byID[id] = c, group
		}
	}
	return nil
}

func (g *groups) ids() []string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	ids := make([]string, 0, len(g.byID))
	for id := range g.byID {
		ids = append(ids, id)
	}
	return ids
}

// setCode stores the digest of a new code. From then on deliveries under the
// old one are refused.
func (g *groups) setCode(ctx context.Context, id, plain string) error {
	digest := verify.CodeDigest(g.key, plain)
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.codes[id]
	c.current = digest
	if err := g.store.save(ctx, id, c); err != nil {
		return err
	}
	group := g.byID[id]
	group.Code = digest
	g.codes[id], g.byID[id] = c, group
	return nil
}

// memoryCodes keeps nothing: with the process ends the store, too.
type memoryCodes struct{}

func (*memoryCodes) shared() bool                                          { return false }
func (*memoryCodes) load(context.Context) (map[string]code, error)         { return map[string]code{}, nil }
func (*memoryCodes) save(ctx context.Context, _ string, _ code) error      { return ctx.Err() }
func (*memoryCodes) check(context.Context) ([]byte, error)                 { return nil, nil }
func (*memoryCodes) keepCheck(_ context.Context, b []byte) ([]byte, error) { return b, nil }

// sqlCodes keeps codes in a table beside the deliveries.
type sqlCodes struct {
	db    *sql.DB
	texts codeTexts
}

// codeTexts are the statements as a database understands them.
type codeTexts struct {
	migrate, load, save string
	check, keepCheck    string
	shared              bool // by other gateways
}

var sqliteCodes = codeTexts{
	migrate: `CREATE TABLE IF NOT EXISTS gateway_code (group_id TEXT PRIMARY KEY, file BLOB NOT NULL, current BLOB NOT NULL);
		CREATE TABLE IF NOT EXISTS gateway_key (one INTEGER PRIMARY KEY, sealed BLOB NOT NULL)`,
	load: `SELECT group_id, file, current FROM gateway_code`,
	save: `INSERT INTO gateway_code (group_id, file, current) VALUES (?, ?, ?)
		ON CONFLICT (group_id) DO UPDATE SET file = excluded.file, current = excluded.current`,
	check:     `SELECT sealed FROM gateway_key`,
	keepCheck: `INSERT INTO gateway_key (one, sealed) VALUES (1, ?) ON CONFLICT DO NOTHING`,
}

var postgresCodes = codeTexts{
	migrate: `SELECT pg_advisory_xact_lock(hashtextextended('gateway codes', 0));
		CREATE TABLE IF NOT EXISTS ringback.gateway_code (group_id text PRIMARY KEY, file bytea NOT NULL, current bytea NOT NULL);
		CREATE TABLE IF NOT EXISTS ringback.gateway_key (one int PRIMARY KEY, sealed bytea NOT NULL)`,
	load: `SELECT group_id, file, current FROM ringback.gateway_code`,
	save: `INSERT INTO ringback.gateway_code (group_id, file, current) VALUES ($1, $2, $3)
		ON CONFLICT (group_id) DO UPDATE SET file = excluded.file, current = excluded.current`,
	check:     `SELECT sealed FROM ringback.gateway_key`,
	keepCheck: `INSERT INTO ringback.gateway_key (one, sealed) VALUES (1, $1) ON CONFLICT DO NOTHING`,
	shared:    true,
}

func (s *sqlCodes) migrate(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for text := range strings.SplitSeq(s.texts.migrate, ";") {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (s *sqlCodes) shared() bool { return s.texts.shared }

func (s *sqlCodes) load(ctx context.Context) (map[string]code, error) {
	rows, err := s.db.QueryContext(ctx, s.texts.load) //nolint:gosec // one of two constants
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	codes := map[string]code{}
	for rows.Next() {
		var id string
		var file, current []byte
		if err := rows.Scan(&id, &file, &current); err != nil {
			return nil, err
		}
		var c code
		copy(c.file[:], file)
		copy(c.current[:], current)
		codes[id] = c
	}
	return codes, rows.Err()
}

func (s *sqlCodes) save(ctx context.Context, id string, c code) error {
	_, err := s.db.ExecContext(ctx, s.texts.save, id, c.file[:], c.current[:])
	return err
}

func (s *sqlCodes) check(ctx context.Context) (sealed []byte, err error) {
	err = s.db.QueryRowContext(ctx, s.texts.check).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	return sealed, err
}

func (s *sqlCodes) keepCheck(ctx context.Context, sealed []byte) ([]byte, error) {
	if _, err := s.db.ExecContext(ctx, s.texts.keepCheck, sealed); err != nil {
		return nil, err
	}
	return s.check(ctx)
}
