//go:build unix

package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	envRole = "RINGBACK_FAULTS_ROLE"
	envSpec = "RINGBACK_FAULTS_SPEC"
)

// A Role is what a process does that [Start] started. Its context ends with
// SIGTERM.
type Role func(ctx context.Context, c *Child) error

// Main is TestMain's body: it runs the role if this process is to play one, and
// the tests otherwise. [EngineRole] is always there.
func Main(m *testing.M, roles map[string]Role) int {
	name := os.Getenv(envRole)
	if name == "" {
		return m.Run()
	}
	all := map[string]Role{EngineRole: runEngine}
	maps.Copy(all, roles)
	role := all[name]
	if role == nil {
		fmt.Fprintln(os.Stderr, "no such role:", name)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := &Child{spec: []byte(os.Getenv(envSpec)), in: bufio.NewScanner(os.Stdin)}
	if err := role(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return 1
	}
	return 0
}

// Plays reports whether this process is to play a role.
func Plays() bool { return os.Getenv(envRole) != "" }

// A Child is the process's side of a [Process].
type Child struct {
	spec []byte
	in   *bufio.Scanner
	mu   sync.Mutex
}

// Spec reads what Start was given.
func (c *Child) Spec(to any) error { return json.Unmarshal(c.spec, to) }

// Say writes a line, by one write.
func (c *Child) Say(words ...any) {
	line := fmt.Sprintln(words...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(os.Stdout, line); err != nil {
		die() // nobody listens: the test is over
	}
}

// Commands yields the lines that the test sends, until it closes the pipe.
func (c *Child) Commands(yield func([]string) bool) {
	for c.in.Scan() {
		if !yield(strings.Fields(c.in.Text())) {
			return
		}
	}
}

// A Process is the test binary, playing a role.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	done   chan struct{}
	news   news

	mu    sync.Mutex
	lines []string
}

// Start starts a process, which the test's end kills.
func Start(tb testing.TB, role string, spec any) *Process {
	tb.Helper()
	return StartProgram(tb, os.Args[0], role, spec)
}

// StartProgram is Start for another build of the test's binary.
func StartProgram(tb testing.TB, program, role string, spec any) *Process {
	tb.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Process{cmd: exec.Command(program, "-test.run=^$"), done: make(chan struct{})} //nolint:gosec,noctx // itself; Cleanup ends it
	p.cmd.Env = append(os.Environ(), envRole+"="+role, envSpec+"="+string(text))
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go p.read(stdout)
	tb.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.done
		if tb.Failed() {
			tb.Logf("process %d said %q and wrote:\n%s", p.cmd.Process.Pid, tail(p.Lines(), 20), p.stderr.String())
		}
	})
	return p
}

func tail(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

func (p *Process) read(stdout io.Reader) {
	in := bufio.NewScanner(stdout)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, in.Text())
		p.mu.Unlock()
		p.news.tell()
	}
	_ = p.cmd.Wait() // ProcessState says what there is to say
	close(p.done)
	p.news.tell()
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Lines returns what it said so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// Words returns what followed a first word, of each line that has it.
func (p *Process) Words(first string) []string {
	var out []string
	for _, line := range p.Lines() {
		if rest, ok := strings.CutPrefix(line+" ", first+" "); ok {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	return out
}

// Await waits for the n-th line (from 1, one by default) with a first word and
// returns the rest of it.
func (p *Process) Await(tb testing.TB, first string, nth ...int) string {
	tb.Helper()
	n := 1
	if len(nth) > 0 {
		n = nth[0]
	}
	var words []string
	ok := p.news.until(func() bool {
		words = p.Words(first)
		return len(words) >= n || p.exited()
	})
	if words = p.Words(first); !ok || len(words) < n {
		tb.Fatalf("the process never said %q %d times", first, n)
	}
	return words[n-1]
}

// AwaitEnd waits for the first line with a first word or for the process's end,
// whichever comes; it reports whether either did in time.
func (p *Process) AwaitEnd(first string) bool {
	return p.news.until(func() bool { return p.exited() || len(p.Words(first)) > 0 })
}

func (p *Process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Exited reports whether the process has ended.
func (p *Process) Exited() bool { return p.exited() }

// Send sends a command line.
func (p *Process) Send(tb testing.TB, words ...any) {
	tb.Helper()
	if _, err := fmt.Fprintln(p.stdin, words...); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
		tb.Fatal(err)
	}
}

// Hurry closes the command pipe: an engine process then drains and ends.
func (p *Process) Hurry() { p.stdin.Close() }

// Signal sends a signal: SIGTERM, SIGSTOP, SIGCONT.
func (p *Process) Signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Fatal(err)
	}
}

// Kill is kill -9, and waits for the end.
func (p *Process) Kill(tb testing.TB) {
	tb.Helper()
	p.Signal(tb, syscall.SIGKILL)
	p.Killed(tb)
}

// Killed waits for the end, which must be by SIGKILL.
func (p *Process) Killed(tb testing.TB) {
	tb.Helper()
	p.wait(tb)
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || st.Signal() != syscall.SIGKILL {
		tb.Fatalf("the process was not killed: %v", p.cmd.ProcessState)
	}
}

// Exit waits for the end and returns the exit code, -1 after a signal.
func (p *Process) Exit(tb testing.TB) int {
	tb.Helper()
	p.wait(tb)
	return p.cmd.ProcessState.ExitCode()
}

// Errors returns what it wrote to the standard error; complete once it ended.
func (p *Process) Errors(tb testing.TB) string {
	tb.Helper()
	p.wait(tb)
	return p.stderr.String()
}

func (p *Process) wait(tb testing.TB) {
	tb.Helper()
	if !p.news.until(p.exited) {
		tb.Fatal("the process does not end")
	}
}

// die is kill -9 of this process; it never returns.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
