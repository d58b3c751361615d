//go:build unix

package rig

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// Hooks are called by the connections of a wrapped driver; any may be nil. An
// error of Exec and Commit takes the place of the call, one of Committed that
// of its success.
type Hooks struct {
	// Exec is called before a statement's text or a prepared statement is
	// executed; the query is empty for a prepared one.
	Exec func(ctx context.Context, query string) error
	// Commit is called before a transaction is committed, Committed after it.
	Commit, Committed func(ctx context.Context) error
}

var registering sync.Mutex

// RegisterDriver registers SQLite's driver with hooks under another name, for
// sqlitestore.Config.Driver. A name of a VFS, if not empty, is added to every
// data source. A name that is registered already is left as it is.
func RegisterDriver(name, vfs string, h Hooks) {
	registering.Lock()
	defer registering.Unlock()
	if slices.Contains(sql.Drivers(), name) {
		return
	}
	sql.Register(name, &hookedDriver{vfs: vfs, hooks: h})
}

type hookedDriver struct {
	sqlite.Driver
	vfs   string
	hooks Hooks
}

type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
	driver.Pinger
}

var errConn = errors.New("rig: the driver's connection lacks a method")

func (d *hookedDriver) Open(name string) (driver.Conn, error) {
	if d.vfs != "" {
		sep := "?"
		if strings.Contains(name, "?") {
			sep = "&"
		}
		name += sep + "vfs=" + d.vfs
	}
	c, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	full, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errConn, c.Close())
	}
	return &hookedConn{sqliteConn: full, hooks: &d.hooks}, nil
}

type hookedConn struct {
	sqliteConn
	hooks *Hooks
}

func (c *hookedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.hooks.Exec != nil {
		if err := c.hooks.Exec(ctx, query); err != nil {
			return nil, err
		}
	}
	return c.sqliteConn.ExecContext(ctx, query, args)
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func (c *hookedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	st, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil || c.hooks.Exec == nil {
		return st, err
	}
	full, ok := st.(sqliteStmt)
	if !ok {
		return nil, errors.Join(errConn, st.Close())
	}
	return &hookedStmt{sqliteStmt: full, hooks: c.hooks}, nil
}

type hookedStmt struct {
	sqliteStmt
	hooks *Hooks
}

func (s *hookedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.hooks.Exec(ctx, ""); err != nil {
		return nil, err
	}
	return s.sqliteStmt.ExecContext(ctx, args)
}

func (c *hookedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqliteConn.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &hookedTx{Tx: tx, ctx: ctx, hooks: c.hooks}, nil
}

type hookedTx struct {
	driver.Tx
	ctx   context.Context //nolint:containedctx // Commit has none, and hooks go by it
	hooks *Hooks
}

func (t *hookedTx) Commit() error {
	if t.hooks.Commit != nil {
		if err := t.hooks.Commit(t.ctx); err != nil {
			return err
		}
	}
	if err := t.Tx.Commit(); err != nil {
		return err
	}
	if t.hooks.Committed != nil {
		return t.hooks.Committed(t.ctx)
	}
	return nil
}
