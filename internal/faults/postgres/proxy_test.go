//go:build unix

package postgres_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is done with a request, which is all that a client sends until it waits
// for the answer.
type fate struct {
	// Keep closes both connections and forwards so much: none, all but the last
	// message (what was done is not committed), or all of it, of which the
	// answer is awaited and then thrown away.
	cut   bool
	parts part
	// hold, not nil, forwards the same and then nothing until it is closed; the
	// connections stay open.
	hold <-chan struct{}
	// code, not empty, forwards nothing and answers with this error.
	code string
	// pause is made before each KiB.
	pause time.Duration
	// done is called when all of that happened.
	done func()
}

type part int

const (
	nothing part = iota
	allButLast
	whole
)

// A request as it is judged.
type request struct {
	text    string // the statements, as far as they were seen to be prepared
	appends bool   // the commit of a store that appends deliveries
	settles bool   // … and that ends some
	size    int
}

func (r request) commits() bool { return r.appends || r.settles }

// proxy stands between engines and a server and does what its rule says.
type proxy struct {
	ln   net.Listener
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	rule func(request) *fate
	live map[net.Conn]struct{}
	down bool
}

// newProxy returns a proxy to the server of a URL, and a URL through it.
func newProxy(t *testing.T, server string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, to: u.Host, live: map[net.Conn]struct{}{}}
	u.Host = ln.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // the test is over
		p.Break(true)
		p.wg.Wait()
	})
	return p, u.String()
}

// Rule sets what becomes of requests; a nil fate lets one through.
func (p *proxy) Rule(f func(request) *fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = f
}

// Once has a fate meet the first request that f chooses, and closes the channel
// then.
func (p *proxy) Once(f func(request) bool, is fate) <-chan struct{} {
	met := make(chan struct{})
	is.done = sync.OnceFunc(func() { close(met) })
	used := false
	p.Rule(func(r request) *fate {
		if used || !f(r) {
			return nil
		}
		used = true
		return &is
	})
	return met
}

func (p *proxy) judge(r request) *fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rule == nil {
		return nil
	}
	return p.rule(r)
}

// Break resets all connections; down, it takes no more.
func (p *proxy) Break(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.live {
		drop(c)
	}
}

func drop(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // so that it is a reset
	}
	_ = c.Close()
}

func (p *proxy) serve(client net.Conn) {
	defer drop(client)
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer drop(server)
	p.mu.Lock()
	down := p.down
	p.live[client], p.live[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.live, client)
		delete(p.live, server)
	}()
	if down {
		return
	}
	c := &channel{proxy: p, client: client, server: server, texts: map[string]string{}, ready: make(chan struct{}, 1)}
	var both sync.WaitGroup
	both.Go(func() { c.answers(); drop(client); drop(server) })
	both.Go(func() { c.requests(); drop(client); drop(server) })
	both.Wait()
}

// channel is one connection through the proxy.
type channel struct {
	*proxy

	client, server net.Conn
	texts          map[string]string // of prepared statements
	mu             sync.Mutex
	swallow        bool // answers
	ready          chan struct{}
}

// answers forwards what the server says.
func (c *channel) answers() {
	in := bufio.NewReader(c.server)
	for {
		msg, err := message(in)
		if err != nil {
			return
		}
		c.mu.Lock()
		swallow := c.swallow
		c.mu.Unlock()
		if swallow {
			if msg[0] == 'Z' {
				c.ready <- struct{}{}
				return
			}
			continue
		}
		if _, err := c.client.Write(msg); err != nil {
			return
		}
	}
}

func message(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(5)
	if err != nil {
		return nil, err
	}
	msg := make([]byte, 1+int(binary.BigEndian.Uint32(head[1:])))
	_, err = io.ReadFull(in, msg)
	return msg, err
}

// requests forwards what the client says, request by request.
func (c *channel) requests() {
	in := bufio.NewReader(c.client)
	head, err := in.Peek(4) // the first message has no type
	if err != nil {
		return
	}
	first := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(in, first); err != nil {
		return
	}
	if _, err := c.server.Write(first); err != nil {
		return
	}
	var msgs [][]byte
	for {
		msg, err := message(in)
		if err != nil {
			return
		}
		msgs = append(msgs, msg)
		switch msg[0] {
		case 'P', 'B', 'D', 'E', 'C': // more will come
			continue
		}
		if !c.meet(msgs) {
			return
		}
		msgs = nil
	}
}

// meet does with a request what its fate is, and reports whether the connection
// goes on.
func (c *channel) meet(msgs [][]byte) bool {
	r := c.read(msgs)
	f := c.judge(r)
	if f == nil {
		return c.forward(msgs, 0)
	}
	if f.done != nil {
		defer f.done()
	}
	switch {
	case f.code != "":
		_, err := c.client.Write(refusal(f.code))
		return err == nil
	case f.hold != nil:
		if f.parts == allButLast {
			msgs = msgs[:len(msgs)-1]
		}
		if f.parts != nothing && !c.forward(msgs, 0) {
			return false
		}
		if f.done != nil {
			f.done()
		}
		gone := make(chan struct{})
		go func() { // an engine that gives up closes the connection
			_, _ = c.client.Read(make([]byte, 1))
			close(gone)
		}()
		select {
		case <-f.hold:
		case <-gone:
		}
		return false
	case !f.cut:
		return c.forward(msgs, f.pause)
	case f.parts == allButLast:
		c.forward(msgs[:len(msgs)-1], 0)
	case f.parts == whole:
		c.mu.Lock()
		c.swallow = true
		c.mu.Unlock()
		if c.forward(msgs, 0) {
			<-c.ready
		}
	}
	return false
}

func (c *channel) forward(msgs [][]byte, pause time.Duration) bool {
	if pause == 0 {
		_, err := c.server.Write(bytes.Join(msgs, nil))
		return err == nil
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for all := bytes.Join(msgs, nil); len(all) > 0; <-tick.C {
		n := min(1024, len(all))
		if _, err := c.server.Write(all[:n]); err != nil {
			return false
		}
		all = all[n:]
	}
	return true
}

// refusal is an error and the end of the request.
func refusal(code string) []byte {
	var b bytes.Buffer
	for _, field := range []string{"SERROR", "VERROR", "C" + code, "Minjected"} {
		b.WriteString(field)
		b.WriteByte(0)
	}
	b.WriteByte(0)
	out := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(b.Len()+4))
	out = append(out, b.Bytes()...)
	return append(out, 'Z', 0, 0, 0, 5, 'I')
}

// read finds out what a request is.
func (c *channel) read(msgs [][]byte) (r request) {
	var texts []string
	for _, msg := range msgs {
		r.size += len(msg)
		body := msg[5:]
		switch msg[0] {
		case 'Q':
			texts = append(texts, string(bytes.TrimRight(body, "\x00")))
		case 'P':
			name, rest := word(body)
			text, _ := word(rest)
			c.texts[name] = text
		case 'B':
			_, rest := word(body)
			name, rest := word(rest)
			text := c.texts[name]
			texts = append(texts, text)
			if strings.HasPrefix(text, "WITH mine AS") {
				sizes := parameters(rest)
				// An empty array has a head of 12 bytes.
				r.appends = r.appends || len(sizes) > 2 && sizes[2] > 12
				r.settles = r.settles || len(sizes) > 10 && sizes[10] > 12
			}
		}
	}
	r.text = strings.Join(texts, ";")
	return r
}

func word(b []byte) (string, []byte) {
	before, rest, _ := bytes.Cut(b, []byte{0})
	return string(before), rest
}

// parameters returns the sizes of a Bind's parameters.
func parameters(b []byte) (sizes []int) {
	next := func(n int) int {
		v := 0
		for _, x := range b[:n] {
			v = v<<8 | int(x)
		}
		b = b[n:]
		return v
	}
	b = b[2*next(2):] // their formats
	for n := next(2); n > 0; n-- {
		size := int(int32(next(4)))
		sizes = append(sizes, size)
		b = b[max(size, 0):]
	}
	return sizes
}
