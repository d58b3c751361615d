package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// Config opens a [Store]: by Path, or over pools that are open already.
type Config struct {
	// Path is the file. It is made if it is missing.
	Path string
	// Driver is the name under which a driver with modernc's kind of data
	// source names is registered. Empty is "sqlite".
	Driver string

	// Writer and Reader, given together in place of Path, are pools over one
	// file, owned by the caller. Writer has one connection at most, begins
	// transactions IMMEDIATE, and has journal_mode WAL and synchronous FULL or
	// EXTRA. That no other process uses the file is then the caller's care.
	Writer, Reader *sql.DB

	// Lanes tunes how lanes are served.
	Lanes lanes.Config
}

// A Store keeps deliveries in a SQLite file. It implements [delivery.Store],
// [delivery.Waiter], [delivery.Browser], [delivery.Operator] and
// [delivery.Pruner]. Make one with [Open].
type Store struct {
	*lanes.Store
	browser
	pruner pruner
	rows   *rows
	owner  *sql.DB
	own    *sql.Conn
	mine   bool // the pools were opened here

	closing sync.Once
	closed  error
}

// ErrMoved says that the file was deleted, or another put in its place, while
// it was open: what is stored now would be found by nobody, and what is read
// could be the other file's. The store must be opened anew.
var ErrMoved = errors.New("sqlitestore: the file was deleted or replaced")

// Open opens the file, takes ownership of it, brings its schema up to date and
// reads what waits. Errors wrap delivery.ErrOwned if another process has it.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	s := &Store{rows: &rows{write: cfg.Writer, read: cfg.Reader}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("sqlitestore: %w", err), s.shut())
		}
	}()
	switch {
	case cfg.Path != "" && cfg.Writer == nil && cfg.Reader == nil:
		if err := s.openPath(ctx, cfg.Path, cmp.Or(cfg.Driver, "sqlite")); err != nil {
			return nil, err
		}
	case cfg.Path != "" || cfg.Writer == nil || cfg.Reader == nil:
		return nil, errors.New("Config needs Path, or Writer and Reader")
	}
	if err := check(ctx, s.rows.write); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.rows.write); err != nil {
		return nil, err
	}
	if err := s.rows.prepare(ctx); err != nil {
		return nil, err
	}
	s.browser = browser{s.rows}
	s.Store, err = lanes.Open(ctx, s.rows, cfg.Lanes)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) openPath(ctx context.Context, path, driver string) error {
	source := func(name string, params ...string) string {
		v := url.Values{"_pragma": params, "_txlock": {"immediate"}}
		return "file:" + (&url.URL{Path: name}).EscapedPath() + "?" + v.Encode()
	}
	path, err := resolved(path) // one file has one lock, whatever it is called
	if err != nil {
		return err
	}
	s.mine = true
	// The lock is a transaction on a file beside: it ends with the process.
	if s.owner, err = sql.Open(driver, source(path+".owner", "busy_timeout(0)")); err != nil {
		return err
	}
	if s.own, err = s.owner.Conn(ctx); err != nil {
		return err
	}
	if _, err := s.own.ExecContext(ctx, "BEGIN EXCLUSIVE"); err != nil {
		if strings.Contains(err.Error(), "locked") || strings.Contains(err.Error(), "SQLITE_BUSY") {
			return fmt.Errorf("%w: %s", delivery.ErrOwned, path)
		}
		return err
	}
	// Rows are written once and, held in memory, not read again: caches of pages
	// can be small.
	s.rows.write, err = sql.Open(driver, source(path, "busy_timeout(5000)", "synchronous(FULL)",
		"cache_size(-4096)", "wal_autocheckpoint(3000)", "journal_size_limit(25165824)", "foreign_keys(1)"))
	if err != nil {
		return err
	}
	s.rows.write.SetMaxOpenConns(1)
	s.rows.write.SetMaxIdleConns(1)
	// What the file itself keeps, in this order: each of the others fixes the
	// size of a page. Afterwards the file is there for the readers.
	for _, pragma := range []string{"page_size = 8192", "auto_vacuum = 2", "journal_mode = WAL"} {
		if _, err := s.rows.write.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	s.rows.path = path
	if s.rows.file, err = os.Stat(path); err != nil {
		return err
	}
	s.rows.read, err = sql.Open(driver, source(path, "busy_timeout(5000)", "query_only(1)", "cache_size(-1024)"))
	if err != nil {
		return err
	}
	s.rows.read.SetMaxOpenConns(4)
	s.rows.read.SetMaxIdleConns(4)
	return nil
}

// resolved returns the path without symbolic links; its last part need not exist.
func resolved(path string) (string, error) {
	for range 40 { // as many as Linux follows
		whole, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return whole, err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		target, err := os.Readlink(path)
		if err != nil { // nothing is there
			return path, nil //nolint:nilerr // it will be made
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", errors.New("too many symbolic links")
}

// check refuses settings and versions that can lose what was acknowledged.
func check(ctx context.Context, db *sql.DB) error {
	var journal, version string
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return err
	}
	switch {
	case !strings.EqualFold(journal, "wal"):
		return fmt.Errorf("journal_mode is %s, WAL is needed", journal)
	case synchronous < 2:
		return errors.New("synchronous is below FULL: a power failure would lose acknowledged deliveries")
	case versionNumber(version) < 3_051_003 || versionNumber(version) == 3_052_000:
		return fmt.Errorf("SQLite %s can corrupt a WAL: 3.51.3 or later is needed, and not 3.52.0", version)
	}
	return nil
}

func versionNumber(v string) int {
	n := 0
	for _, part := range strings.SplitN(v, ".", 3) {
		k, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		n = n*1000 + k
	}
	return n
}

// Writer returns the pool with the one connection that writes, for those who
// keep other tables in the same file. Transactions on it hold up deliveries:
// keep them short.
func (s *Store) Writer() *sql.DB { return s.rows.write }

// Reader returns the pool of connections that read.
func (s *Store) Reader() *sql.DB { return s.rows.read }

// Traits declares what the store cannot promise: nothing.
func (s *Store) Traits() delivery.Traits { return delivery.Traits{} }

// Close waits for what is being stored, gives the file up and closes the pools
// that Open opened. Closing twice is harmless.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.Store.Close()
		s.closed = s.shut()
	})
	return s.closed
}

func (s *Store) shut() error {
	s.rows.checkpoints.wg.Wait()
	errs := []error{s.rows.unprepare()}
	if s.rows.here() != nil {
		// SQLite leaves the log of a file that was moved, and the next to open
		// what has its name now would apply it: empty it through this connection.
		_, err := s.rows.write.Exec("PRAGMA wal_checkpoint(TRUNCATE)") //nolint:noctx // a farewell
		errs = append(errs, err)
	}
	if s.mine {
		for _, db := range []*sql.DB{s.rows.read, s.rows.write} {
			if db != nil {
				errs = append(errs, db.Close())
			}
		}
	}
	if s.own != nil {
		errs = append(errs, s.own.Close())
	}
	if s.owner != nil {
		errs = append(errs, s.owner.Close())
	}
	return errors.Join(errs...)
}
