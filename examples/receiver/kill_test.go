package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/ringback-go/ringback/verify"
)

// process is a receiver that can be killed: this test's binary, see TestMain.
func process(t *testing.T, file string) (base string, end func(syscall.Signal) *os.ProcessState) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-config", file)
	cmd.Env = append(os.Environ(), "RECEIVER_PROCESS=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func(s syscall.Signal) *os.ProcessState {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(s)
			_ = cmd.Wait() // the state tells
		}
		return cmd.ProcessState
	}
	t.Cleanup(func() { end(syscall.SIGKILL) })
	return address(t, out), end
}

// A kill between the answer and the handling loses nothing, and a repeat after it
// is known.
func TestKilledBetweenAnswerAndHandling(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.holding(true)
	s := newSecrets(t, uuid)
	file := s.file(t, d.URL, nil)
	byGitHub := byPlatform(verify.GitHub())
	const callbacks = 40 // more than the inbox handles at once
	post := func(base string, i int, replayed string) {
		t.Helper()
		got := send(t, byGitHub(t, s, base, fmt.Sprintf("id-%d", i), fmt.Sprintf(`{"number":%d}`, i)))
		if got.status != 204 || got.header.Get("Idempotent-Replayed") != replayed {
			t.Fatalf("callback %d: %d %s %v", i, got.status, got.body, got.header)
		}
	}

	base, end := process(t, file)
	for i := range callbacks {
		post(base, i, "")
	}
	d.await(t, "work under way", func(begun int, _ []note) bool { return begun > 0 })
	if state := end(syscall.SIGKILL); state.Success() {
		t.Fatalf("it ended by itself: %s", state)
	}
	d.await(t, "a kill while nothing was handled", func(begun int, notes []note) bool { return begun < callbacks && len(notes) == 0 })
	d.holding(false)

	base, end = process(t, file)
	post(base, 0, "true")
	d.await(t, "all callbacks", func(_ int, notes []note) bool { return len(notes) >= callbacks })
	if state := end(syscall.SIGTERM); !state.Success() {
		t.Errorf("after SIGTERM: %s", state)
	}
	bodies := map[string]int{}
	for _, n := range d.all() {
		bodies[n.Body]++
	}
	for i := range callbacks {
		if body := fmt.Sprintf(`{"number":%d}`, i); bodies[body] != 1 {
			t.Errorf("%s was handled %d times", body, bodies[body])
		}
	}
}
