package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds everything that is done to a server on one machine.
const patience = time.Minute

// errNone says that there is no server to be had here, which skips tests.
var errNone = errors.New("no PostgreSQL: set POSTGRES_URL, or install the server (initdb and postgres on the PATH)")

// A Server is a PostgreSQL server in which tests make databases. Get one from
// [New]. It is safe for concurrent use.
type Server struct {
	url string // of the database that others are made from
}

// shared is the server of the process.
var shared struct {
	sync.Mutex
	main    bool // Main runs
	asked   bool
	server  *Server
	cluster *cluster // nil if the server is not ours
	err     error
}

// Main runs the tests of a package and then stops the server that they shared
// and removes its folder. It is called from TestMain and does not exit: who
// has more to do after the tests may.
func Main(m *testing.M) {
	shared.Lock()
	shared.main = true
	shared.Unlock()
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.cluster == nil {
			return
		}
		if err := shared.cluster.remove(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
		}
		shared.cluster, shared.server = nil, nil
		shared.err = errors.New("the tests are over")
	}()
	m.Run()
}

// New returns the server that the tests of this process share: the one that
// POSTGRES_URL names, whose user must be allowed to create databases, or one
// that is started now if no other test did. Without either it skips t, or
// fails it if CI=true. TestMain must call [Main].
func New(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.asked {
		shared.asked = true
		shared.server, shared.cluster, shared.err = open()
	}
	if shared.err != nil {
		unavailable(t, shared.err)
	}
	return shared.server
}

func open() (*Server, *cluster, error) {
	if name := os.Getenv("POSTGRES_URL"); name != "" {
		return &Server{url: name}, nil, nil
	}
	if !shared.main {
		return nil, nil, errors.New("TestMain does not call pgtest.Main, which stops the server")
	}
	c, err := create(Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		return nil, nil, err
	}
	return &Server{url: c.url("postgres")}, c, nil
}

func unavailable(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNone) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	t.Fatalf("pgtest: %v", err)
}

// URL returns the URL of the database from which the server is administered.
// Tests share it: what they make there must bear names of their own.
func (s *Server) URL() string { return s.url }

// Database makes an empty database with a random name and returns its URL. The
// database is dropped when t ends, with the connections that are left to it.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name, err := sibling(s.url, "")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	id := "test_" + token()
	name.Path = "/" + id
	if err := execute(t.Context(), s.url, `CREATE DATABASE `+id); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(context.Background(), s.url, `DROP DATABASE IF EXISTS `+id+` WITH (FORCE)`); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return name.String()
}

// sibling returns the URL of another database of the same server.
func sibling(name, database string) (*url.URL, error) {
	u, err := url.Parse(name)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("POSTGRES_URL is not a URL like postgres://user:password@host:5432/database")
	}
	u.Path = "/" + database
	return u, nil
}

// execute runs statements on a connection of their own.
func execute(ctx context.Context, name string, statements ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, name)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err = conn.Exec(ctx, s); err != nil {
			err = fmt.Errorf("%s: %w", s, err)
			break
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// token returns 16 random letters and digits.
func token() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
