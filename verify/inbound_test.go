package verify_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
)

// Rows of testdata/inbound.tsv that a pure verifier does not decide:
// T059, T060 (400: the Query gate), T064, T069, T070 (400: the dialect),
// S058 (409: Dedup), S059 (415: the Body gate), B028, B029, B031, B032 (415,
// 413, 400: the gates and the dialect), B023, B024 (URL policy), E019 (405:
// the Method gate), all J rows (bodies: strictjson, Payload) and R rows
// (registration: the dialect). B030 is a refusal here too, whatever the
// status.
func elsewhere(id, expect string) bool {
	switch {
	case id[0] == 'J', id[0] == 'R', id == "B023", id == "B024":
		return true
	case id == "B030":
		return false
	}
	return strings.HasPrefix(expect, "4") && !strings.HasPrefix(expect, "401")
}

// TestInbound runs the rows about signatures and secrets.
func TestInbound(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/inbound.tsv")
	if err != nil {
		t.Fatal(err)
	}
	ran := map[byte]int{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if line[0] == '#' || f[0] == "id" || elsewhere(f[0], f[7]) {
			continue
		}
		ran[f[0][0]]++
		t.Run(f[0]+" "+f[8], func(t *testing.T) {
			t.Parallel()
			v, err := corpusVerifier(f[1])
			if refused := err != nil; refused || f[7] == "config_error" {
				// S056 may be refused here or per message.
				if !refused || f[7] != "config_error" && f[0] != "S056" {
					t.Fatalf("constructor: %v, want %s", err, f[7])
				}
				return
			}
			_, err = v.Verify(t.Context(), corpusMessage(t, f))
			if want := f[7] == "200" || f[7] == "200/OK"; (err == nil) != want {
				t.Errorf("Verify: %v, want %s", err, f[7])
			}
		})
	}
	for prefix, least := range map[byte]int{'T': 40, 'S': 35, 'B': 12, 'E': 10} {
		if ran[prefix] < least {
			t.Errorf("%d rows of %c, want at least %d", ran[prefix], prefix, least)
		}
	}
}

func corpusVerifier(cfg string) (verify.Verifier, error) {
	name, option, _ := strings.Cut(cfg, ":")
	switch name {
	case "tencent":
		token := "xxxxyyyy"
		if option != "" {
			token = strings.TrimPrefix(option, "token=")
		}
		sign, err := verify.NewTencentSign(0, key("", token))
		if err != nil {
			return nil, err
		}
		return verify.AllOf(must(verify.NewAppID("1400000001")), sign)
	case "sw":
		keys := []verify.Key{key("", swSecret)}
		if secret, ok := strings.CutPrefix(option, "secret="); ok {
			keys = []verify.Key{key("", secret)}
		} else if option == "rot" {
			keys = append(keys, verify.Key{Secret: []byte(swOld), NotAfter: unix(1614265400)})
		}
		return verify.NewStandard(0, keys...)
	case "edna":
		return verify.NewToken("Authorization", "Token", true, key("", "K-0123456789abcdef"))
	default:
		return verify.NewSecret(serverKey, func(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
			return "", verify.CodeDigest(serverKey, "DEMO-CODE"), params.Get("group") == "My Group Name", nil
		})
	}
}

func corpusMessage(t *testing.T, f []string) verify.Message {
	t.Helper()
	unquote := func(s string) string {
		out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("field %q: %v", s, err)
		}
		return out
	}
	m := verify.Message{Method: f[3], Header: http.Header{}, Body: []byte(corpusBody(unquote(f[6])))}
	m.Path, m.RawQuery, _ = strings.Cut(unquote(f[4]), "?")
	if f[2] != "" {
		sec, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m.At = unix(sec)
	}
	for line := range strings.SplitSeq(unquote(f[5]), " || ") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			m.Header.Add(name, value)
		}
	}
	return m
}

// corpusBody expands a body that starts with @.
func corpusBody(s string) string {
	parts, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s
	}
	var b strings.Builder
	for part := range strings.SplitSeq(parts, "<+>") {
		n, text, ok := strings.Cut(strings.TrimPrefix(part, "rep("), ",")
		if count, err := strconv.Atoi(n); ok && err == nil && strings.HasPrefix(part, "rep(") {
			b.WriteString(strings.Repeat(strings.TrimSuffix(text, ")"), count))
			continue
		}
		b.WriteString(part)
	}
	return b.String()
}
