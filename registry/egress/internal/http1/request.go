package http1

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// buffers hold whole requests.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const userAgent = "Go-http-client/1.1" // net/http's, of requests that have none

// encode reads the body and puts the request together, as net/http would. The
// caller gives the result back to buffers.
func encode(r *http.Request) (*[]byte, error) {
	defer r.Body.Close()
	p, _ := buffers.Get().(*[]byte)
	b := append((*p)[:0], "POST "...)
	b = append(b, r.URL.RequestURI()...)
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
		for _, value := range r.Header[name] {
			if name == "User-Agent" && value == "" {
				continue
			}
			ok = ok && validName(name) && validValue(value)
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
		buffers.Put(p)
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
	buffers.Put(p)
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // as above
		err = errLength
	}
	return nil, err
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
