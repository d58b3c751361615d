//go:build unix

package rig

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An Answer is what a receiver does with a request. The zero value accepts it
// with 200.
type Answer struct {
	// Status is the answer's; 0 is 200.
	Status int
	// Header is sent beside Content-Length.
	Header http.Header
	// Body is sent whole.
	Body string

	// Unread leaves the request's body on the wire.
	Unread bool
	// After, not nil, holds the answer until it is closed.
	After <-chan struct{}
	// Hang never answers: the connection stays open until the receiver or the
	// peer ends it.
	Hang bool
	// Reset ends the connection by a reset in place of an answer.
	Reset bool
	// Drop closes the connection in place of an answer.
	Drop bool
	// Half sends the first half of the answer and closes.
	Half bool
	// Trickle is the pause before each byte of the answer; 0 is none.
	Trickle time.Duration
	// Raw, not empty, is sent in place of an answer, and the connection closed.
	Raw string
	// Close ends the connection after the answer.
	Close bool
}

// A Script says how the n-th request of a path is answered, n from 0. It is
// called before the body is read: the request it sees has neither Body nor Sum.
type Script func(n int, r Request) Answer

// InTurn answers one after another and then the last one always.
func InTurn(answers ...Answer) Script {
	return func(n int, _ Request) Answer { return answers[min(n, len(answers)-1)] }
}

// Status answers always with it.
func Status(code int) Script { return InTurn(Answer{Status: code}) }

func (a *Answer) status() int {
	if a.Status == 0 {
		return http.StatusOK
	}
	return a.Status
}

// silent reports whether no status line is sent as it should be.
func (a *Answer) silent() bool { return a.Hang || a.Reset || a.Drop || a.Half || a.Raw != "" }

func (a *Answer) bytes() string {
	if a.Raw != "" {
		return a.Raw
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status(), http.StatusText(a.status()))
	for name, values := range a.Header {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	if a.status() != http.StatusNoContent {
		b.WriteString("Content-Length: " + strconv.Itoa(len(a.Body)) + "\r\n")
	}
	if a.Close {
		b.WriteString("Connection: close\r\n")
	}
	return b.String() + "\r\n" + a.Body
}

// give answers and reports whether the whole answer left and whether the
// connection may be used again.
func (a *Answer) give(c net.Conn, ends <-chan struct{}) (sent, again bool) {
	if a.After != nil {
		select {
		case <-a.After:
		case <-ends:
			return false, false
		}
	}
	switch {
	case a.Hang:
		gone := make(chan struct{})
		go func() { // until the peer goes away
			_, _ = io.Copy(io.Discard, c)
			close(gone)
		}()
		select {
		case <-ends:
		case <-gone:
		}
		return false, false
	case a.Reset:
		reset(c)
		return false, false
	case a.Drop:
		return false, false
	}
	text := a.bytes()
	if a.Half {
		text = text[:len(text)/2]
	}
	if !write(c, text, a.Trickle, ends) {
		return false, false
	}
	return !a.silent(), !a.silent() && !a.Close
}

func write(c net.Conn, text string, trickle time.Duration, ends <-chan struct{}) bool {
	if trickle <= 0 {
		_, err := io.WriteString(c, text)
		return err == nil
	}
	tick := time.NewTicker(trickle)
	defer tick.Stop()
	for i := range len(text) {
		select {
		case <-tick.C:
		case <-ends:
			return false
		}
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return false
		}
	}
	return true
}

// reset has the close that follows send a reset.
func reset(c net.Conn) {
	type raw interface{ NetConn() net.Conn }
	if r, ok := c.(raw); ok {
		c = r.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		if tcp.SetLinger(0) == nil {
			_ = tcp.Close() // it is to be gone
		}
	}
}
