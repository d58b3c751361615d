//go:build linux

package pgstore_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/storetest"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// pooler starts PgBouncer in transaction mode before a database and returns its
// address.
func pooler(t *testing.T, url string) (host string, port uint16) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no pgbouncer on the PATH")
		}
		t.Skip("no pgbouncer on the PATH")
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "pooler") //nolint:usetesting // another user must get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
`, cfg.Host, cfg.Port, addr.Port, filepath.Join(dir, "users"))
	for name, text := range map[string]string{"ini": ini, "users": strconv.Quote(cfg.User) + " " + strconv.Quote(cfg.Password) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", filepath.Join(dir, "ini")}
	if os.Geteuid() == 0 { // which it refuses to be
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was told to
	})
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			c.Close()
			return "127.0.0.1", uint16(addr.Port)
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Behind a pooler that gives each transaction another connection nothing may
// depend on the session.
func TestPooler(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).Database(t)
	host, port := pooler(t, url)
	f := &cluster{url: url, deaf: true, lanes: lanes.Config{MaxInFlight: 64}}
	f.tune = func(cfg *pgxpool.Config) {
		cfg.ConnConfig.Host, cfg.ConnConfig.Port = host, port
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	storetest.Run(t, storetest.Config{Open: f.open, Reopen: f.reopen, Traits: delivery.Traits{SharedByEngines: true}})
}
