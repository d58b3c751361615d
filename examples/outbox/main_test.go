package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/internal/race"
)

var binary string // the built service

func TestMain(m *testing.M) {
	if status := withService(m); status != 0 { // else the tests' own counts
		os.Exit(status)
	}
}

func withService(m *testing.M) int {
	dir, err := os.MkdirTemp("", "outbox-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "outbox")
	args := []string{"build", "-o", binary}
	if race.Enabled { // built as the test is
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, ".")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pgtest.Main(m)
	return 0
}
