package receivers_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The frames of HTTP/2 that are needed (RFC 9113, section 6).
const (
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameContinuation = 9
	endHeaders        = 4
	endStream         = 1
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8)
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

func setting(id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), value)
}

func code(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// h2 is a connection of which the client's preface was read.
type h2 struct {
	*tls.Conn

	mu sync.Mutex
}

func (c *h2) send(frames ...[]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Write(bytes.Join(frames, nil))
	return err == nil
}

// speak answers settings and calls request for each stream that begins, until
// the client is gone.
func speak(settings []byte, request func(c *h2, stream uint32)) func(*tls.Conn) {
	return func(conn *tls.Conn) {
		c := &h2{Conn: conn}
		if _, err := io.ReadFull(conn, make([]byte, 24)); err != nil || !c.send(frame(frameSettings, 0, 0, settings)) {
			return
		}
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			size := binary.BigEndian.Uint32(head) >> 8
			if _, err := io.CopyN(io.Discard, conn, int64(size)); err != nil {
				return
			}
			switch stream := binary.BigEndian.Uint32(head[5:]); {
			case head[3] == frameSettings && head[4]&1 == 0:
				c.send(frame(frameSettings, 1, 0, nil))
			case head[3] == frameHeaders && request != nil:
				request(c, stream)
			}
		}
	}
}

// status200 is the answer's header in HPACK: the eighth entry of its static
// table.
var status200 = []byte{0x88}

// literal is a header field in HPACK that is not indexed, its name and value as
// they are; the value's length takes two bytes.
func literal(name string, size int) []byte {
	field := append([]byte{0, byte(len(name))}, name...)
	rest := size - 127
	field = append(field, 127, byte(rest&127|128), byte(rest>>7))
	return append(field, bytes.Repeat([]byte{'x'}, size)...)
}

// A-RESP-40: what an endpoint can do with HTTP/2 ends with its attempt, by
// "conn", "bad_response" or "timeout", within bounds, and others are served
// meanwhile.
func TestHostileHTTP2(t *testing.T) { //nolint:paralleltest // it measures the process
	ca := newAuthority(t)
	var all []tlsBehavior
	add := func(row, class string, then func(*tls.Conn)) {
		timeout := 10 * time.Second
		if strings.Contains(class, "timeout") {
			timeout = patienceOfHostile
		}
		all = append(all, tlsBehavior{
			row: "A-RESP-40 " + row, class: class, timeout: timeout, then: then,
			config: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, false, nil, nameOf(len(all)))}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12},
		})
	}
	add("a good one", "", speak(nil, func(c *h2, stream uint32) { c.send(frame(frameHeaders, endHeaders|endStream, stream, status200)) }))
	all[0].delivered = true
	add("gone at once", "conn timeout", speak(nil, func(c *h2, _ uint32) { c.send(frame(frameGoAway, 0, 0, append(code(0), code(0)...))) }))
	add("gone with an error", "conn timeout bad_response", speak(nil, func(c *h2, stream uint32) { c.send(frame(frameGoAway, 0, 0, append(code(stream), code(11)...))) }))
	add("stream reset", "conn", speak(nil, func(c *h2, stream uint32) { c.send(frame(frameReset, 0, stream, code(2))) }))
	add("stream refused", "timeout", speak(nil, func(c *h2, stream uint32) { c.send(frame(frameReset, 0, stream, code(7))) }))
	add("header list bomb", "conn bad_response", speak(nil, func(c *h2, stream uint32) {
		c.send(frame(frameHeaders, 0, stream, append(status200, literal("x", 8<<10)...)))
		for c.send(frame(frameContinuation, 0, stream, literal("y", 8<<10))) { //nolint:revive // until the client gives up
		}
	}))
	add("header that indexes one large field", "conn bad_response", speak(nil, func(c *h2, stream uint32) {
		indexed := literal("z", 3<<10)
		indexed[0] = 0x40 // into the dynamic table
		c.send(frame(frameHeaders, endHeaders|endStream, stream, append(append(bytes.Clone(status200), indexed...), bytes.Repeat([]byte{0x80 | 62}, 10_000)...)))
	}))
	add("no window", "timeout", speak(setting(4, 0), nil))
	add("no streams", "timeout", speak(setting(3, 0), nil))
	add("never an answer", "timeout", speak(nil, nil))
	add("pings without an end", "timeout", speak(nil, func(c *h2, _ uint32) {
		pings := bytes.Repeat(frame(framePing, 0, 0, make([]byte, 8)), 200)
		go func() {
			for c.send(pings) { //nolint:revive // until the client gives up
			}
		}()
	}))
	add("settings without an end", "timeout", speak(nil, func(c *h2, _ uint32) {
		changes := bytes.Repeat(frame(frameSettings, 0, 0, setting(4, 1<<16)), 200)
		go func() {
			for c.send(changes) { //nolint:revive // until the client gives up
			}
		}()
	}))
	add("garbage", "conn bad_response timeout", speak(nil, func(c *h2, _ uint32) { c.send(bytes.Repeat([]byte{0xff}, 64<<10)) }))
	add("another protocol", "conn bad_response timeout", func(c *tls.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nX: secret\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	})

	runtime.GC()
	before := runtime.NumGoroutine()
	var start runtime.MemStats
	runtime.ReadMemStats(&start)
	end := watch()
	sendTLS(t, ca.pem, all)
	heap, goroutines := end()
	if grown := int64(heap) - int64(start.HeapAlloc); grown > 48<<20 || goroutines > before+300 {
		t.Errorf("the heap grew by %d MiB, %d goroutines", grown>>20, goroutines-before)
	}
	t.Logf("heap +%d MiB, goroutines +%d", (int64(heap)-int64(start.HeapAlloc))>>20, goroutines-before)
}

// A-RESP-40, A-RESP-20: an endpoint that ends each connection and says that it
// did not process the request does not get handshakes without an end for it.
func TestHTTP2IsNotRepeatedWithoutEnd(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var requests atomic.Int32
	sendTLS(t, ca.pem, []tlsBehavior{{
		row: "gone at once", class: "conn", timeout: 10 * time.Second,
		config: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, false, nil, nameOf(0))}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12},
		then: speak(nil, func(c *h2, _ uint32) {
			requests.Add(1)
			c.send(frame(frameGoAway, 0, 0, append(code(0), code(0)...)))
		}),
	}})
	if n := requests.Load(); n > 8 {
		t.Errorf("%d requests in two attempts", n)
	}
}
