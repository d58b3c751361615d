package smartbots_test

import (
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestInbound runs the sbot rows of testdata/inbound.tsv, each on a fresh API.
func TestInbound(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/inbound.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) < 9 || f[1] != "sbot" {
			continue
		}
		rows++
		t.Run(f[0]+" "+f[8], func(t *testing.T) {
			t.Parallel()
			body := f[6]
			if generator, ok := strings.CutPrefix(body, "@"); ok {
				body = generate(t, generator)
			}
			r := httptest.NewRequestWithContext(t.Context(), f[3], unquote(t, f[4]), strings.NewReader(unquote(t, body)))
			for header := range strings.SplitSeq(unquote(t, f[5]), " || ") {
				name, value, _ := strings.Cut(header, ": ")
				r.Header.Add(name, value)
			}
			got := newWorld(t, nil).serve(r)
			status, reply, _ := strings.Cut(f[7], "/")
			var want string
			switch text, failed := strings.CutPrefix(reply, "FAIL"); {
			case failed:
				want = `{"result":"FAIL","resulttext":"` + strings.TrimSpace(text)
			case reply == "OK":
				want = okReply
			default:
				want = `{"result":"FAIL",`
			}
			if strconv.Itoa(got.status) != status || !strings.HasPrefix(got.body, want) {
				t.Errorf("%d %s, want %s", got.status, got.body, f[7])
			}
		})
	}
	if rows < 22 {
		t.Errorf("%d rows, the corpus has 22", rows)
	}
}

func unquote(t *testing.T, text string) string {
	t.Helper()
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s
}

// generate makes a body of the parts that <+> separates; rep(N,s) is s, N
// times.
func generate(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for part := range strings.SplitSeq(text, "<+>") {
		call, ok := strings.CutPrefix(part, "rep(")
		if !ok {
			b.WriteString(part)
			continue
		}
		number, s, _ := strings.Cut(strings.TrimSuffix(call, ")"), ",")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.Repeat(s, n))
	}
	return b.String()
}
