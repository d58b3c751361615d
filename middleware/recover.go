package middleware

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
)

const (
	maxPanicText  = 1 << 10
	maxPanicStack = 16 << 10
)

// Recover answers a panic of the handler, or of a gate inside, with 500 and
// one line in the log that has the panic's text and its stack, both bounded.
// When the answer had begun it cannot be taken back: the connection is closed,
// so that the client sees a broken answer and not a short one.
// [http.ErrAbortHandler], which asks for just that, is passed on in silence.
//
// It may stand anywhere; outermost it sees most. [Dedup] releases the id of a
// handler that panics, whichever of the two stands outside. A panic in another
// goroutine that the handler started ends the process as ever.
//
// The zero value is ready for use.
type Recover struct {
	// Deny writes the answer. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the panic. Nil is slog.Default().
	Logger *slog.Logger
}

// Handler returns the gate in front of next. It panics when next is nil.
func (g Recover) Handler(next http.Handler) http.Handler {
	return wire("Recover", anywhere, next, func(w http.ResponseWriter, r *http.Request) {
		seen := &begun{ResponseWriter: w}
		defer func() {
			why := recover()
			if why == nil {
				return
			}
			if err, ok := why.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(why)
			}
			logger := g.Logger
			if logger == nil {
				logger = slog.Default()
			}
			stack := debug.Stack()
			logger.LogAttrs(r.Context(), slog.LevelError, "middleware: the handler panicked",
				slog.String("method", r.Method), slog.String("pattern", r.Pattern),
				slog.String("panic", text(why)), slog.String("stack", string(stack[:min(len(stack), maxPanicStack)])))
			if seen.yes {
				panic(http.ErrAbortHandler)
			}
			for _, name := range ofAnswer {
				w.Header().Del(name)
			}
			// Logged already, and with more.
			deny := g.Deny
			if deny == nil {
				deny = Problem
			}
			deny(w, r, &Error{Err: ErrPanic})
		}()
		next.ServeHTTP(seen, r)
	})
}

// ofAnswer are fields that belong to the answer that was not given.
var ofAnswer = []string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Type",
	"Etag", "Last-Modified", "Location", "Set-Cookie",
}

// text prints the value of a panic, whose own methods may panic, too.
func text(why any) string {
	s := fmt.Sprint(why)
	return s[:min(len(s), maxPanicText)]
}

// begun remembers whether an answer has begun.
type begun struct {
	http.ResponseWriter

	yes bool
}

// Unwrap is for [http.ResponseController].
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// Flush is for handlers that ask for an [http.Flusher].
func (b *begun) Flush() { _ = b.FlushError() } // which has no way to tell

// FlushError is for [http.ResponseController].
func (b *begun) FlushError() error {
	b.yes = true
	return http.NewResponseController(b.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker].
func (b *begun) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(b.ResponseWriter).Hijack()
	b.yes = b.yes || err == nil
	return conn, buf, err
}

func (b *begun) WriteHeader(status int) {
	b.yes = b.yes || status >= 200 || status == http.StatusSwitchingProtocols
	b.ResponseWriter.WriteHeader(status)
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}
