package egress_test

import (
	"bufio"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

// rows reads a corpus of tab-separated fields without comments and the line of names.
func rows(t testing.TB, path string, fields int) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out [][]string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "id\t") {
			continue
		}
		row := strings.Split(line, "\t")
		if len(row) != fields {
			t.Fatalf("%s: %q has %d fields, want %d", path, line, len(row), fields)
		}
		out = append(out, row)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// unquote turns a corpus URL into the bytes it means.
func unquote(t testing.TB, field string) string {
	t.Helper()
	raw, err := strconv.Unquote(`"` + strings.ReplaceAll(field, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// reasonOf maps the corpus' own reasons to ours, for rows in which no earlier check applies.
var reasonOf = map[string]egress.Reason{
	"empty": egress.ReasonScheme, "scheme": egress.ReasonScheme, "userinfo": egress.ReasonUserinfo,
	"host_empty": egress.ReasonHost, "host_syntax": egress.ReasonHost, "host_numeric": egress.ReasonHost, "host_single": egress.ReasonHost,
	"host_special": egress.ReasonHost, "idna": egress.ReasonHost, "zone": egress.ReasonHost,
	"port": egress.ReasonPort, "addr": egress.ReasonAddress,
	"char": egress.ReasonSyntax, "escape": egress.ReasonSyntax, "fragment": egress.ReasonSyntax, "parse": egress.ReasonSyntax,
}

// wantReason is reasonOf but for the rows in which a check that comes before the corpus' own reason applies.
func wantReason(id, why string) egress.Reason {
	switch id {
	case "U061", "U065", "U095", "U132", "U181", "U183", "U184", "U185", "U187", "U188", "U189",
		"U258", "U259", "U260", "U262", "U264", "U266", "U267":
		return egress.ReasonHost
	case "U094":
		return egress.ReasonUserinfo
	case "U084":
		return egress.ReasonAddress
	case "U109", "U110", "U111", "U112", "U113":
		return egress.ReasonPort
	}
	return reasonOf[why]
}

func TestCheckCorpus(t *testing.T) {
	t.Parallel()
	const ednaLimit = 500
	corpus := rows(t, "testdata/urls.tsv", 4)
	if len(corpus) < 180 {
		t.Fatalf("only %d rows", len(corpus))
	}
	for _, row := range corpus {
		id, raw, expect := row[0], unquote(t, row[1]), row[2]
		why, rest, _ := strings.Cut(row[3], "; ")
		wire, _, _ := strings.Cut(rest, "; ")
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			if why == "too_long" {
				if n := egress.Characters(raw); n <= ednaLimit {
					t.Fatalf("Characters = %d, want over %d", n, ednaLimit)
				}
				return
			}
			if n := egress.Characters(raw); n > ednaLimit {
				t.Fatalf("Characters = %d, want %d at most", n, ednaLimit)
			}
			u, err := egress.Policy{}.Check(raw)
			if expect == "allow" {
				if err != nil {
					t.Fatalf("Check(%q) = %v", raw, err)
				}
				again, err := egress.Policy{}.Check(u.String())
				if err != nil || again != u {
					t.Fatalf("Check of the canonical form = %+v, %v; want %+v", again, err, u)
				}
				return
			}
			refusal, ok := errors.AsType[*egress.Error](err)
			if !ok || !errors.Is(err, egress.ErrURL) || u != (egress.URL{}) {
				t.Fatalf("Check(%q) = %v, %v; want a refusal", raw, u, err)
			}
			if want := wantReason(id, why); refusal.Reason != want {
				t.Errorf("reason %q, want %q (%s)", refusal.Reason, want, why)
			}
			if scheme := wire == "error-callback-url-not-https"; raw != "" && scheme != (refusal.Reason == egress.ReasonScheme) {
				t.Errorf("reason %q does not lead to %s", refusal.Reason, wire)
			}
			if errors.Is(err, egress.ErrLiteral) != refusal.Addr.IsValid() {
				t.Errorf("ErrLiteral and Addr %v disagree", refusal.Addr)
			}
		})
	}
}

func TestCheckAddrCorpus(t *testing.T) {
	t.Parallel()
	corpus := rows(t, "testdata/addrs.tsv", 4)
	if len(corpus) < 120 {
		t.Fatalf("only %d rows", len(corpus))
	}
	for _, row := range corpus {
		t.Run(row[0], func(t *testing.T) {
			t.Parallel()
			err := egress.Policy{}.CheckAddr(netip.MustParseAddr(row[1]), 443)
			if (err == nil) != (row[2] == "allow") {
				t.Errorf("CheckAddr(%s) = %v, want %s: %s", row[1], err, row[2], row[3])
			}
			if err != nil && !errors.Is(err, egress.ErrAddress) {
				t.Errorf("%v is no ErrAddress", err)
			}
		})
	}
}
