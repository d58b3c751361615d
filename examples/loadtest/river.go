package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// riverOrder is for the program in tools/river.
type riverOrder struct {
	order

	Payload    json.RawMessage
	Publishers int
	ServerPID  int
}

// riverRound is the same events through River, on the same server, by a worker
// that signs and posts and does no more.
func riverRound(mode string) func(context.Context, *bench, row) (round, error) {
	return func(ctx context.Context, b *bench, _ row) (_ round, err error) {
		if err := errors.Join(b.startPostgres(), b.buildRiver(ctx)); err != nil {
			return round{}, err
		}
		o := riverOrder{
			order: order{
				URL: b.url, Server: b.server, Schema: "river_" + strings.ToLower(rand.Text()),
				Mode: mode, Events: b.events, Endpoints: b.endpoints,
			},
			Payload: payload, Publishers: publishers,
		}
		if o.ServerPID, err = serverPID(ctx, b.server); err != nil {
			return round{}, err
		}
		defer func() { err = errors.Join(err, dropSchema(ctx, o.order)) }()
		r, err := b.carriedOut(ctx, b.river, o)
		return roundOf(r), err
	}
}

// buildRiver builds the program once for all rows of the run. It is a module of
// its own, so that nobody who uses this one has River among its modules.
func (b *bench) buildRiver(ctx context.Context) error {
	if b.river != "" {
		return nil
	}
	goTool := func(args ...string) (string, error) {
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the words below
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
		}
		return strings.TrimSpace(stdout.String()), nil
	}
	root, err := goTool("list", "-m", "-f", "{{.Dir}}", "github.com/ringback-go/ringback")
	if err != nil {
		return fmt.Errorf("loadtest: rows of River need Go and a checkout of this module: %w", err)
	}
	exe := filepath.Join(b.scratch, "river")
	if _, err := goTool("build", "-C", filepath.Join(root, "tools", "river"), "-o", exe, "."); err != nil {
		return err
	}
	b.river = exe
	return nil
}

// serverPID is 0 where the server runs on another machine.
func serverPID(ctx context.Context, url string) (int, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	return serverOf(ctx, pool)
}
