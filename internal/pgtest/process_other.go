//go:build !linux

package pgtest

import (
	"fmt"
	"os"
)

// Elsewhere nothing would stop a server whose test process is killed, so none
// is started: programs says so before anything else is called.

const immediate = signal(0)

type signal int

func (signal) Signal()        {}
func (signal) String() string { return "immediate" }

var _ os.Signal = immediate

type (
	user    struct{}
	process struct{}
)

func programs() (string, error) {
	return "", fmt.Errorf("%w; servers are started on Linux only", errNone)
}

func unprivileged() (*user, error) { return nil, nil }

func (*user) own(string) error { return nil }

func (*cluster) claim() error { return errNone }

func sweep() error { return nil }

func (*cluster) run(string, ...string) error { return errNone }

func (*cluster) begin() error { return errNone }

func (*cluster) halt(os.Signal) error { return nil }

func (*cluster) log() []byte { return nil }
