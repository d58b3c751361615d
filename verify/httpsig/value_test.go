package httpsig_test

import (
	"net/http"
	"testing"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// TestComponentValues has the examples of RFC 9421, sections 2.1 and 2.2, and
// what must have no value.
func TestComponentValues(t *testing.T) {
	t.Parallel()
	m := verify.Message{Method: "POST", Host: "www.Example.com:443", Path: "/path", RawQuery: "param=value&foo=bar&baz=bat%2Dman&qux=&twice=1&twice=2", Header: http.Header{
		"X-Ows-Header":   {"   Leading and trailing whitespace.   "},
		"Cache-Control":  {"max-age=60", "    must-revalidate"},
		"Example-Dict":   {" a=1, b=2;x=1;y=2, c=(a   b    c), d"},
		"X-Empty-Header": {""},
		"Example-Header": {"value, with, lots", "of, commas"},
		"Priority":       {"u=1,    i,b=?1;x,  c=(a   b;  y   c)"},
		"X-Newline":      {"a\n\"@method\": GET"},
		"X-Latin":        {"\xfc"},
		"X-Broken":       {"a=1,"},
	}}
	long := m
	long.RawQuery = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something"
	bare := verify.Message{Method: "GET", Host: "h", Header: http.Header{}}
	dirty := verify.Message{Method: "GET\n", Host: "h\n", Path: "/\n", RawQuery: "a=\n"}
	for _, tt := range []struct {
		id, value string
		m         verify.Message
		want      error
	}{
		{`"x-ows-header"`, "Leading and trailing whitespace.", m, nil},
		{`"cache-control"`, "max-age=60, must-revalidate", m, nil},
		{`"example-dict"`, "a=1, b=2;x=1;y=2, c=(a   b    c), d", m, nil},
		{`"x-empty-header"`, "", m, nil},
		{`"example-dict";key="a"`, "1", m, nil},
		{`"example-dict";key="d"`, "?1", m, nil},
		{`"example-dict";key="b"`, "2;x=1;y=2", m, nil},
		{`"example-dict";key="c"`, "(a b c)", m, nil},
		{`"example-header";bs`, ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:", m, nil},
		{`"priority";sf`, "u=1, i, b;x, c=(a b;y c)", m, nil},
		{`"host"`, "www.Example.com:443", m, nil},
		{`"@method"`, "POST", m, nil},
		{`"@target-uri"`, "https://www.example.com/path?" + m.RawQuery, m, nil},
		{`"@authority"`, "www.example.com", m, nil},
		{`"@scheme"`, "https", m, nil},
		{`"@request-target"`, "/path?" + m.RawQuery, m, nil},
		{`"@path"`, "/path", m, nil},
		{`"@query"`, "?" + m.RawQuery, m, nil},
		{`"@query-param";name="baz"`, "bat-man", m, nil},
		{`"@query-param";name="qux"`, "", m, nil},
		{`"@query-param";name="var"`, "this%20is%20a%20big%0Amultiline%20value", long, nil},
		{`"@query-param";name="bar"`, "with%20plus%20whitespace", long, nil},
		{`"@query-param";name="fa%C3%A7ade%22%3A%20"`, "something", long, nil},
		{`"@path"`, "/", bare, nil},
		{`"@query"`, "?", bare, nil},
		{`"@target-uri"`, "https://h/", bare, nil},
		{`"@query-param";name="twice"`, "", m, verify.ErrRepeated},
		{`"@query-param";name="none"`, "", m, verify.ErrMissing},
		{`"missing"`, "", m, verify.ErrMissing},
		{`"example-dict";key="z"`, "", m, verify.ErrMissing},
		{`"x-broken";key="a"`, "", m, verify.ErrMalformed},
		{`"x-newline"`, "", m, verify.ErrMalformed},
		{`"x-latin"`, "", m, verify.ErrMalformed},
		{`"@method"`, "", dirty, verify.ErrMalformed},
		{`"@authority"`, "", dirty, verify.ErrMalformed},
		{`"@path"`, "", dirty, verify.ErrMalformed},
		{`"@query"`, "", dirty, verify.ErrMalformed},
		{`"@target-uri"`, "", dirty, verify.ErrMalformed},
		{`"@method"`, "", verify.Message{}, verify.ErrMissing},
		{`"@authority"`, "", verify.Message{}, verify.ErrMissing},
		{`"@authority"`, "", verify.Message{Host: ":443"}, verify.ErrMissing},
		// Not supported, or not an identifier:
		{`"example-dict";sf`, "", m, verify.ErrMalformed},
		{`"@status"`, "", m, verify.ErrMalformed},
		{`"@signature-params"`, "", m, verify.ErrMalformed},
		{`"@METHOD"`, "", m, verify.ErrMalformed},
		{`"@method";req`, "", m, verify.ErrMalformed},
		{`"cache-control";tr`, "", m, verify.ErrMalformed},
		{`"cache-control";req`, "", m, verify.ErrMalformed},
		{`"cache-control";bs;sf`, "", m, verify.ErrMalformed},
		{`"cache-control";bs=1`, "", m, verify.ErrMalformed},
		{`"cache-control";bs=?0`, "", m, verify.ErrMalformed},
		{`"example-dict";key=a`, "", m, verify.ErrMalformed},
		{`"example-dict";key="A"`, "", m, verify.ErrMalformed},
		{`"example-dict";key=""`, "", m, verify.ErrMalformed},
		{`"Cache-Control"`, "", m, verify.ErrMalformed},
		{`"cache control"`, "", m, verify.ErrMalformed},
		{`""`, "", m, verify.ErrMalformed},
		{`cache-control`, "", m, verify.ErrMalformed},
		{`"@query"; name="a"`, "", m, verify.ErrMalformed},
		{`"@query-param"`, "", m, verify.ErrMalformed},
		{`"@query-param";name="a b"`, "", m, verify.ErrMalformed},
		{`"@query-param";name="%41"`, "", m, verify.ErrMalformed},
		{`"@query-param";name="%zz"`, "", m, verify.ErrMalformed},
		{`"@path" "@path"`, "", m, verify.ErrMalformed},
	} {
		t.Run(tt.id, func(t *testing.T) {
			t.Parallel()
			got, err := httpsig.Base(tt.m, "https", "", "x=("+tt.id+")")
			want := tt.id + ": " + tt.value + "\n\"@signature-params\": (" + tt.id + ")"
			if tt.want != nil {
				if err == nil || err.Error() != tt.want.Error() {
					t.Errorf("%q, error %v, want %v", got, err, tt.want)
				}
			} else if err != nil || got != want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, want)
			}
		})
	}
	for _, tt := range []struct{ scheme, authority, host, want string }{
		{"http", "", "h:80", "http://h/"},
		{"http", "", "h:443", "http://h:443/"},
		{"https", "", "h:8443", "https://h:8443/"},
		{"", "Public.Example:443", "10.0.0.1", "https://public.example/"},
	} {
		got, err := httpsig.Base(verify.Message{Host: tt.host}, tt.scheme, tt.authority, `x=("@target-uri")`)
		if want := `"@target-uri": ` + tt.want + "\n\"@signature-params\": (\"@target-uri\")"; err != nil || got != want {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
}
