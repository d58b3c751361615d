// Command receiver takes callbacks from nine senders behind one mux, each by its
// own scheme, and hands them on to a URL of ours:
//
//	go run ./examples/receiver -config receiver.json
//
// The file's members are in config.go; a secret that is missing is said at start.
// What is quick is answered by a typed handler at once, all else is stored, answered
// and worked off afterwards: a kill in between loses nothing. gates in routes.go has
// the order in which a request is judged, work.go what is done with it.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/delivery/inbox"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/sqldedup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args, os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", getenv("RECEIVER_CONFIG"), "read the configuration from `FILE`")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	cfg, err := readConfig(*file)
	if err != nil {
		return err
	}
	s, err := open(ctx, cfg, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	hooks, err := s.routes()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening http://%s\n", ln.Addr())
	return s.serve(ctx, ln, hooks)
}

// site is what the handlers share.
type site struct {
	cfg   config
	log   *slog.Logger
	db    *sql.DB
	seen  *sqldedup.Store    // the ids of requests, and what was answered
	store *sqlitestore.Store // what is still to be worked off
	inbox *inbox.Inbox
	peers middleware.Limiter // one for all routes
}

func open(ctx context.Context, cfg config, log *slog.Logger) (_ *site, err error) {
	s := &site{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.Join(cfg.Data, "seen.db")}).EscapedPath()}
	file.RawQuery = "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)"
	if s.db, err = sql.Open("sqlite", file.String()); err != nil {
		return nil, err
	}
	if s.seen, err = sqldedup.New(sqldedup.Config{DB: s.db}); err != nil {
		return nil, err
	}
	if err = s.seen.Migrate(ctx); err != nil {
		return nil, err
	}
	if s.store, err = sqlitestore.Open(ctx, sqlitestore.Config{Path: filepath.Join(cfg.Data, "inbox.db")}); err != nil {
		return nil, err
	}
	if s.peers, err = middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 6000, Per: time.Minute}); err != nil {
		return nil, err
	}
	s.inbox, err = inbox.New(inbox.Config{
		Store: s.store, Handler: s.work(), MaxBody: maxBody, Timeout: workTime, Logger: log,
		ID: func(r *http.Request) (string, bool) { return r.URL.Path + "\x00" + messageID(r), true },
	})
	return s, err
}

// close gives the files up.
func (s *site) close() (err error) {
	if s.store != nil {
		err = s.store.Close()
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}

// serve takes callbacks and works them off until ctx ends: then no more are taken,
// and the work under way is given time to end. What is left is done after the next
// start.
func (s *site) serve(ctx context.Context, ln net.Listener, hooks http.Handler) error {
	ctx, cancel := context.WithCancel(ctx) // one half does not go on without the other
	defer cancel()
	working, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	server := &http.Server{
		Handler: hooks, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { defer cancel(); served <- server.Serve(ln) }()
	go func() { defer cancel(); worked <- s.inbox.Run(working) }()
	<-ctx.Done()
	patience, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	err := server.Shutdown(patience)
	drain()
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return errors.Join(err, <-worked)
}
