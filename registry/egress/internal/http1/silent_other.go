//go:build !unix

package http1

import "net"

// supported says that a connection can be looked at before it is used again.
const supported = false

// probe looks whether a connection is open and silent: not known here.
type probe struct{}

func (probe) on(net.Conn) {}

func (probe) known() bool { return true }

// silent lets no connection be used again.
func (probe) silent() bool { return false }
