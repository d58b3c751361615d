//go:build !unix

package http1

import (
	"net"
	"time"
)

// supported says that a connection can be looked at before it is used again.
const supported = false

// probe looks whether a connection is open and silent: not known here.
type probe struct{}

func (probe) on(net.Conn) {}

// silent lets no connection be used again.
func (*conn) silent(time.Time) bool { return false }
