//go:build unix

package http1

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
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

// silent reports whether an idle connection is open and nothing came on it.
func (c *conn) silent(end time.Time) bool {
	if c.look.raw == nil { // no socket
		var b [1]byte
		if c.SetReadDeadline(past) != nil {
			return false
		}
		_, err := c.Conn.Read(b[:])
		return errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(end) == nil
	}
	c.look.open = false
	err := c.look.raw.Read(c.look.read)
	return err == nil && c.look.open
}
