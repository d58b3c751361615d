package sqlitewait_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/internal/sqlitewait"
)

func open(t *testing.T, path, pragmas string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+pragmas)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// connecting has a file locked by another and begins to connect to it.
func connecting(ctx context.Context, t *testing.T) (other *sql.Tx, done chan error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.db")
	other, err := open(t, path, "?_txlock=exclusive").BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, path, "?_pragma=journal_mode(WAL)")
	if err := db.PingContext(ctx); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Fatalf("a locked file says %v", err)
	}
	done = make(chan error, 1)
	go func() { done <- sqlitewait.Connect(ctx, db) }()
	time.Sleep(time.Second) // virtual
	if len(done) > 0 {
		t.Fatalf("it did not wait: %v", <-done)
	}
	return other, done
}

func TestConnect(t *testing.T) {
	t.Parallel()
	t.Run("when the other is ready", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			other, done := connecting(context.Background(), t)
			if err := other.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("not for ever", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			other, done := connecting(context.Background(), t)
			if err := <-done; err == nil || time.Since(began) > 6*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			if err := other.Rollback(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			_, done := connecting(ctx, t)
			began := time.Now()
			cancel()
			if err := <-done; err == nil || time.Since(began) > time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("another error is told at once", func(t *testing.T) {
		t.Parallel()
		db := open(t, filepath.Join(t.TempDir(), "missing", "x.db"), "")
		if err := sqlitewait.Connect(t.Context(), db); err == nil || strings.Contains(err.Error(), "locked") {
			t.Errorf("a file in no folder: %v", err)
		}
	})
}
