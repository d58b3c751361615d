//go:build unix

package http1

import (
	"errors"
	"net"
	"syscall"
)

// supported says that a connection can be looked at before it is used again.
const supported = true

// probe looks whether a connection is open and silent.
type probe struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool
	open bool
}

// on prepares to look at a connection's socket.
func (p *probe) on(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	p.raw = raw
	p.read = func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		p.open = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	}
}

// known reports whether there is a socket.
func (p *probe) known() bool { return p.raw != nil }

// silent reports whether an idle connection is open and nothing came on it.
func (p *probe) silent() bool {
	p.open = false
	err := p.raw.Read(p.read)
	return err == nil && p.open
}
