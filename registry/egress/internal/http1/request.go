package http1

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// buffers hold whole requests.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept bounds a buffer that is kept.
const maxKept = 16 << 10

// release keeps a buffer for another request, without what was in it: headers are
// keys, too.
func release(p *[]byte) {
	clear(*p)
	if cap(*p) <= maxKept {
		buffers.Put(p)
	}
}

const userAgent = "Go-http-client/1.1" // net/http's, of requests that have none

// encode reads the body and puts the request together, as net/http would. The
// caller releases the result.
func encode(r *http.Request) (*[]byte, error) {
	defer r.Body.Close()
	p, _ := buffers.Get().(*[]byte)
	b := append((*p)[:0], "POST "...)
	b = append(b, r.URL.RequestURI()...)
	for _, c := range b[len("POST "):] {
		if c <= ' ' || c == 0x7f {
			return nil, errTarget
		}
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if r.Host != "" {
		b = append(b, r.Host...)
	} else {
		b = append(b, r.URL.Host...)
	}
	b = append(b, "\r\n"...)
	if _, has := r.Header["User-Agent"]; !has {
		b = append(b, "User-Agent: "+userAgent+"\r\n"...)
	}
	ok := true
	field := func(name string) {
		ok = ok && validName(name)
		for i, value := range r.Header[name] {
			if name == "User-Agent" && (value == "" || i > 0) {
				continue
			}
			ok = ok && validValue(value)
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	field("User-Agent")
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, r.ContentLength, 10)
	b = append(b, "\r\n"...)
	var some [16]string
	names := some[:0]
	for name := range r.Header {
		if name != "User-Agent" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		field(name)
	}
	if *p = b; !ok {
		release(p)
		return nil, ErrHeader
	}
	b = append(b, "\r\n"...)
	head := len(b)
	need := head + int(r.ContentLength)
	if cap(b) < need+1 {
		b = append(make([]byte, 0, need+1), b...)
	}
	n, err := io.ReadFull(r.Body, b[head:need])
	b = b[:head+n]
	*p = b
	if err == nil {
		var more int
		if more, err = r.Body.Read(b[need : need+1]); more == 0 && err == io.EOF {
			return p, nil
		}
		if more > 0 || err == nil {
			err = errLength
		}
	}
	release(p)
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // as readers have it
		err = errLength
	}
	return nil, err
}

// transportsOwn are the headers about the connection or the body's length.
var transportsOwn = [...]string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
}

// plainHeader reports whether headers are short, and none is the transport's
// own, however it is spelled: a map may hold any spelling.
func plainHeader(h http.Header) bool {
	size := 0
	for name, values := range h {
		for _, own := range transportsOwn {
			if len(name) == len(own) && strings.EqualFold(name, own) {
				return false
			}
		}
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size <= MaxBody
}

// plainHost reports whether a host and port can be sent as they are: ASCII
// without zone, and none that net/http would rewrite.
func plainHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return true
}

// token says of each byte whether a header's name may have it (RFC 9110, 5.6.2).
var token = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

func validName(s string) bool {
	for i := range len(s) {
		if !token[s[i]] {
			return false
		}
	}
	return s != ""
}

// validValue allows what net/http does: no control characters but tabs.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
