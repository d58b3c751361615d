package main_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rawPost is a request as it stood on the wire.
type rawPost struct {
	line   string
	header []string
	body   string
}

// listenRaw accepts one request of HTTP/1.1 and hands it over as it came.
func listenRaw(t *testing.T) (url string, got <-chan rawPost) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{receiverCert}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	posts := make(chan rawPost, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return // the test is over
		}
		defer conn.Close()
		r := textproto.NewReader(bufio.NewReader(conn))
		var p rawPost
		length := 0
		p.line, err = r.ReadLine()
		for err == nil {
			var line string
			if line, err = r.ReadLine(); line == "" {
				break
			}
			p.header = append(p.header, line)
			if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				length, _ = strconv.Atoi(v) // 0 leaves the body empty, and the test fails
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r.R, body); err != nil {
			return
		}
		p.body = string(body)
		posts <- p
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}()
	return "https://" + ln.Addr().String(), posts
}

// What callback_set looks like on the wire, byte for byte.
func TestWire(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	to, posts := listenRaw(t)
	p.bots(t, botsForm(to+"/cb?x=1&y=%2F", "app_uuid", strings.ToUpper(kettleUUID)), teaOK)
	var got rawPost
	select {
	case got = <-posts:
	case <-t.Context().Done():
	}
	if got.line != "POST /cb?x=1&y=%2F HTTP/1.1" {
		t.Errorf("request line %q", got.line)
	}
	port := to[strings.LastIndexByte(to, ':')+1:]
	body := "action=callback_set&app_uuid=" + kettleUUID + "&group_id=tea-club&group_name=Tea+Club&group_uuid=" + teaUUID +
		"&url=https%3A%2F%2F127.0.0.1%3A" + port + "%2Fcb%3Fx%3D1%26y%3D%252F"
	if got.body != body {
		t.Errorf("body\n%s, want\n%s", got.body, body)
	}
	want := []string{
		`Host: 127\.0\.0\.1:` + port,
		`User-Agent: ringback/[0-9]+\.[0-9]+\.[0-9]+`,
		`Content-Length: ` + strconv.Itoa(len(body)),
		`Content-Type: application/x-www-form-urlencoded; charset=utf-8`,
		`webhook-id: [!-~]+`,
	}
	for _, w := range want {
		re := regexp.MustCompile("^" + w + "$")
		if !slices.ContainsFunc(got.header, re.MatchString) {
			t.Errorf("no header %s in %q", w, got.header)
		}
	}
	for _, h := range got.header {
		name, _, _ := strings.Cut(h, ":")
		if http.CanonicalHeaderKey(name) == "Accept-Encoding" || http.CanonicalHeaderKey(name) == "Idempotency-Key" || http.CanonicalHeaderKey(name) == "Transfer-Encoding" {
			t.Errorf("header %s", h)
		}
	}
	if len(got.header) != len(want) {
		t.Errorf("more headers than promised: %q", got.header)
	}
}
