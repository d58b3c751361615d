package receivers_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// Answers without an end: the attempt ends within its bounds, the log tells
// how, the connection is closed, and another endpoint is served meanwhile.
func TestARESP07To13EndlessAnswers(t *testing.T) {
	t.Parallel()
	const timeout = 700 * time.Millisecond
	const head = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		row, first, piece string
		every             time.Duration // between the pieces
		class             string        // empty if it is delivered
		bound             int64         // of the bytes that get through, buffers included
	}{
		{row: "A-RESP-07 header lines", first: head, piece: "X-Long: " + strings.Repeat("x", 1000) + "\r\n", class: "bad_response", bound: 16 << 20},
		{row: "A-RESP-08 status line", first: "HTTP/1.1 200 ", piece: strings.Repeat("O", 1000), class: "bad_response", bound: 16 << 20},
		{row: "A-RESP-09 informational answers", piece: "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n", class: "bad_response", bound: 16 << 20},
		{row: "A-RESP-11 header byte by byte", first: head, piece: "X", every: 20 * time.Millisecond, class: "timeout", bound: 1 << 10},
		{row: "A-RESP-12 body byte by byte", first: head + "Content-Length: 1000000\r\n\r\n", piece: "x", every: 20 * time.Millisecond, bound: 1 << 10},
		{row: "A-RESP-13 body", first: head + "Transfer-Encoding: chunked\r\n\r\n", piece: "400\r\n" + strings.Repeat("y", 1024) + "\r\n", bound: 16 << 20},
	} {
		t.Run(tt.row, func(t *testing.T) {
			t.Parallel()
			var sent, closed atomic.Int64
			address := raw(t, func(c net.Conn) {
				if !take(c) {
					return
				}
				defer closed.Add(1)
				if _, err := io.WriteString(c, tt.first); err != nil {
					return
				}
				var tick <-chan time.Time
				if tt.every > 0 {
					ticker := time.NewTicker(tt.every)
					defer ticker.Stop()
					tick = ticker.C
				}
				for {
					if tick != nil {
						<-tick
					}
					n, err := io.WriteString(c, tt.piece)
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			s := newScene(t, rig.Listen(t), well)
			s.spec.Pauses = nil // it is repeated until it is dead
			s.spec.Pauses = append(s.spec.Pauses, 20*time.Millisecond)
			s.spec.Endpoints = append(s.spec.Endpoints, rig.Endpoint{ID: sick, Tenant: sick, URL: "http://" + address + "/" + sick, Timeout: timeout})
			s.start(t)
			s.publish(t, sick, "e1")
			s.publish(t, well, "w1")
			s.rc.WaitAccepted(t, 1)
			s.settled(t)
			attempts := int64(1)
			if tt.class != "" {
				attempts = 2
			}
			rig.Eventually(t, "the connections' end", func() bool { return closed.Load() == attempts })
			s.stop(t)
			e, _ := rig.ReadLedger(t, s.spec.Path).Get("e1", sick)
			if int64(len(e.Log)) != attempts {
				t.Fatalf("%d attempts, want %d", len(e.Log), attempts)
			}
			for _, a := range e.Log {
				if a.Class != tt.class || tt.class == "" && (a.Status != 200 || e.State != delivery.Delivered) || a.Duration > 10*timeout {
					t.Errorf("attempt %d: %q, %d, %s: %s", a.Number, a.Class, a.Status, a.Duration, a.Error)
				}
				if len(a.Response) > delivery.MaxResponse || len(bytes.Trim(a.Response, "xy")) > 0 {
					t.Errorf("%d bytes of the answer are kept", len(a.Response))
				}
			}
			if n := sent.Load(); n > tt.bound*attempts {
				t.Errorf("%d bytes got through", n)
			}
		})
	}
}
