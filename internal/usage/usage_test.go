package usage_test

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/ringback-go/ringback/internal/usage"
)

// Main burns a fifth of a second of processor time where it is a child, and
// waits for its parent.
func TestMain(m *testing.M) {
	if os.Getenv("BURN") == "" {
		os.Exit(m.Run())
	}
	burn()
	os.Stdout.WriteString("done\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
}

func burn() {
	begin := usage.OwnSeconds()
	for usage.OwnSeconds() < begin+0.2 { //nolint:revive // it is busy
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		if usage.TreeSeconds(os.Getpid()) != 0 || usage.PeakMiB() != 0 || usage.ParentOf(os.Getpid()) != 0 {
			t.Error("figures that this system does not have are not 0")
		}
		return
	}
	if mib := usage.PeakMiB(); mib < 1 || mib > 1<<20 {
		t.Errorf("peak of %v MiB", mib)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "BURN=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := usage.TreeSeconds(os.Getpid())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if p := usage.ParentOf(cmd.Process.Pid); p != os.Getpid() {
		t.Errorf("the child's parent is %d, want %d", p, os.Getpid())
	}
	alive := usage.TreeSeconds(os.Getpid()) - before
	if alive < 0.1 {
		t.Errorf("%v s with a child at work for 0.2", alive)
	}
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if after := usage.TreeSeconds(os.Getpid()) - before; after < 0.1 {
		t.Errorf("%v s once it has ended, %v while it lived", after, alive)
	}
	if usage.TreeSeconds(0) != 0 {
		t.Error("the process 0 used something")
	}
}
