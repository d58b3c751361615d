package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// immediate ends a server at once and its children with it.
const immediate = syscall.SIGQUIT

// A user is who runs the server, because root may not.
type user struct{ uid, gid uint32 }

// unprivileged returns nil if this process may run a server itself.
func unprivileged() (*user, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &user{uint32(uid), uint32(gid)}, nil
	}
	return nil, fmt.Errorf("%w; root cannot run it, and there is no user postgres or nobody", errNone)
}

func (u *user) own(path string) error {
	if u == nil {
		return nil
	}
	return os.Chown(path, int(u.uid), int(u.gid))
}

// programs returns the folder of initdb and postgres.
func programs() (string, error) {
	var dirs []string
	if out, err := exec.CommandContext(context.Background(), "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, name := range []string{"pg_ctl", "initdb"} {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(path))
			}
		}
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			return 0 // not named by a version: last
		}
		return n
	}
	slices.SortFunc(installed, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, installed...) {
		if executable(dir, "initdb") && executable(dir, "postgres") && executable(dir, "pg_basebackup") {
			return dir, nil
		}
	}
	return "", errNone
}

func executable(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// command returns a command that runs as the server's user, and ends with the
// thread that starts it.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...) //nolint:gosec // a server's program, for tests
	cmd.Dir = c.dir                                                      // the user may not be allowed to stand where this process does
	// PGDATA, PGHOST and the like are not for this server.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	cmd.Env = append(cmd.Env, c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: immediate} // not for the terminal's ^C, but for our end
	if c.user != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.user.uid, Gid: c.user.gid}
	}
	return cmd
}

// run runs a program to its end.
func (c *cluster) run(name string, args ...string) error {
	runtime.LockOSThread() // or the thread might end before the program
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := c.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// A process is a server that was started.
type process struct {
	*os.Process
	ended chan struct{} // closed when it has ended
}

// launch starts a program on a thread that lives as long as the program.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.Process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(p.ended)
		}
	}()
	return p, <-started
}

// begin starts the server and waits until it takes connections.
func (c *cluster) begin() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := c.beginOnce(ctx)
		// Children of a killed server need a moment to notice.
		if err == nil || !strings.Contains(err.Error(), "pre-existing shared memory block") {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (c *cluster) beginOnce(ctx context.Context) error {
	logged, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logged.Close()
	before, err := logged.Stat()
	if err != nil {
		return err
	}
	// Not ctx, which is for the start alone.
	cmd := c.command(context.Background(), "postgres", "-D", c.data(), "-p", strconv.Itoa(c.port), "-k", c.dir)
	cmd.Stdout, cmd.Stderr = logged, logged
	if c.process, err = launch(cmd); err != nil {
		c.process = nil
		return err
	}
	for {
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.process.ended:
			c.process = nil
			return fmt.Errorf("the server does not start:\n%s", c.log()[min(before.Size(), int64(len(c.log()))):])
		default:
		}
		if wait := pause(ctx); wait != nil {
			return errors.Join(err, c.halt(os.Kill))
		}
	}
}

// halt ends the server by a signal and waits for it.
func (c *cluster) halt(by os.Signal) error {
	if c.process == nil {
		return nil
	}
	if err := c.process.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-c.process.ended:
		c.process = nil
		return nil
	case <-late.C:
		return fmt.Errorf("the server does not end after %v", by)
	}
}

// log returns what the server said.
func (c *cluster) log() []byte {
	raw, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(raw)
}
