package middleware_test

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// corpus is where the rows are: the verifiers' own.
const corpus = "../verify/testdata/inbound.tsv"

// packet is as much of Tencent's packets as the rows ask about.
type packet struct {
	CallbackCommand string `json:"CallbackCommand"`
	GroupID         string `json:"GroupId"`
	MsgSeq          uint32 `json:"MsgSeq"`
}

// elsewhere are the rows that whole stacks of gates do not decide, with who
// runs them.
func elsewhere(id, expect string) (why string) {
	switch {
	case id == "T064", id == "J007", id == "T069", id == "T070", id == "J017":
		return "dialect/tencentchat: the command (T064, J007), EventTime (T069, T070) and a NUL in a text (J017) stand in the packet"
	case id[0] == 'R':
		return "dialect/ednapulse: registration has an answer of its own"
	case id[0] == 'B' && expect != "413":
		return "dialect/smartbots: refusals are answers with status 200"
	}
	return ""
}

// promised are the promises that rows of the corpus prove, by ranges of rows.
var promised = map[string]string{
	"A-SIG-01": "T001 T002 T004", "A-SIG-02": "T003 T005", "A-SIG-03": "T007-T009 T012 T016-T024", "A-SIG-04": "T009",
	"A-SIG-05": "T011", "A-SIG-06": "T010", "A-SIG-07": "T013-T015", "A-SIG-08": "T025-T027 T029", "A-SIG-09": "T028 T044",
	"A-SIG-10": "T033-T043", "A-SIG-11": "T045-T057", "A-SIG-12": "T053 T054", "A-SIG-13": "T058", "A-SIG-14": "T059 T060",
	"A-SIG-15": "T061 T062", "A-SIG-16": "T063", "A-SIG-18": "S001 S002 S004", "A-SIG-19": "S003 S005",
	"A-SIG-20": "S006-S008 S041-S043", "A-SIG-21": "S010 S011", "A-SIG-22": "S012-S023", "A-SIG-23": "S024", "A-SIG-24": "S025-S029",
	"A-SIG-25": "S030-S039", "A-SIG-26": "S040", "A-SIG-27": "S044 S045", "A-SIG-28": "S046-S048", "A-SIG-29": "S052-S055",
	"A-SIG-30": "S056", "A-SIG-31": "S050 S051", "A-SIG-32": "S002 S057", "A-SIG-33": "S058", "A-SIG-39": "E004-E017", "A-SIG-40": "E018",
	"A-BODY-01": "J001-J006", "A-BODY-02": "J008-J011", "A-BODY-03": "J013-J016", "A-BODY-05": "J018 J019 J023", "A-BODY-06": "J020 J021",
	"A-BODY-07": "J028-J032", "A-BODY-08": "J033-J035", "A-BODY-09": "J036-J038", "A-BODY-10": "J039", "A-BODY-11": "J040 J041",
	"A-BODY-12": "J042", "A-BODY-13": "J045-J054", "A-BODY-14": "J055 S059", "A-BODY-15": "B031", "A-HDR-01": "S062",
}

// promisesOf returns the promises that a row proves, for its test's name.
func promisesOf(row string) string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(promised)) {
		for part := range strings.FieldsSeq(promised[id]) {
			from, to, isRange := strings.Cut(part, "-")
			if row == from || isRange && from <= row && row <= to {
				all = append(all, id)
			}
		}
	}
	return strings.Join(append(all, row), " ")
}

// corpusRows returns the rows that are run here.
func corpusRows(t *testing.T) (rows [][]string) {
	t.Helper()
	raw, err := os.ReadFile(corpus)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if line[0] == '#' || f[0] == "id" {
			continue
		}
		if len(f) != 9 {
			t.Errorf("a row with %d fields: %q", len(f), line)
		} else if elsewhere(f[0], f[7]) == "" {
			rows = append(rows, f)
		}
	}
	return rows
}

// TestInbound runs the rows of Tencent (T, J), Standard Webhooks (S) and edna
// (E), and the sizes of SmartBots (B), through whole stacks of gates.
func TestInbound(t *testing.T) {
	t.Parallel()
	ran := map[byte]int{}
	for _, f := range corpusRows(t) {
		ran[f[0][0]]++
		t.Run(promisesOf(f[0])+" "+f[8], func(t *testing.T) {
			t.Parallel()
			gates, err := corpusGates(f[1], corpusTime(t, f[2]), quiet)
			if refused := err != nil; refused || f[7] == "config_error" {
				if !refused || f[7] != "config_error" && f[0] != "S056" { // S056 may be refused here
					t.Fatalf("configuration: %v, want %s", err, f[7])
				}
				return
			}
			handled := 0
			h := gates(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled++ }))
			if f[0] == "S058" { // the id was used before, with the body of S001
				serve(t, h, corpusFirst())
			}
			before := handled
			w := serve(t, h, corpusRequest(t, f))
			if got := strconv.Itoa(w.Code); got != f[7] {
				t.Errorf("status %s, want %s", got, f[7])
			}
			if (handled == before+1) != (f[7] == "200") {
				t.Errorf("handled %d times", handled-before)
			}
			if f[0] == "S002" { // S057: the same once more
				again := serve(t, h, corpusRequest(t, f))
				if again.Code != 200 || handled != 1 || again.Header().Get(middleware.ReplayedHeader) != "true" {
					t.Errorf("repeat: %d, handled %d times, %v", again.Code, handled, again.Header())
				}
			}
		})
	}
	for prefix, least := range map[byte]int{'T': 45, 'J': 30, 'S': 35, 'E': 12, 'B': 1} {
		if ran[prefix] < least {
			t.Errorf("%d rows of %c, want at least %d", ran[prefix], prefix, least)
		}
	}
}

// TestInboundSecrets: A-SIG-43, nothing that the whole corpus makes the gates
// log, at any level, holds a secret or a signature.
func TestInboundSecrets(t *testing.T) {
	t.Parallel()
	logger, text := captured()
	for _, f := range corpusRows(t) {
		gates, err := corpusGates(f[1], corpusTime(t, f[2]), logger)
		if err != nil {
			logger.Error("configuration", "cause", err)
			continue
		}
		serve(t, gates(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), corpusRequest(t, f))
	}
	if n := strings.Count(text.String(), "\n"); n < 100 {
		t.Fatalf("%d lines were logged", n)
	}
	for _, secret := range []string{
		"xxxxyyyy", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", "K-0123456789abcdef",
		tencentSign[:16], "g0hM9SsE+OTPJTGt", "[120 120 120 120", // as fmt prints bytes
	} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// corpusFirst is the vector of the Standard Webhooks rows.
func corpusFirst() *http.Request {
	r := post("/sw", "application/json", `{"test": 2432232314}`)
	r.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	r.Header.Set("webhook-timestamp", "1614265330")
	r.Header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	return r
}

// corpusGates is the documented order for a configuration of the corpus.
func corpusGates(cfg string, now func() time.Time, logger *slog.Logger) (middleware.Middleware, error) {
	ms := []middleware.Middleware{
		middleware.Recover{Logger: logger}.Handler,
		middleware.RateLimit{Key: middleware.ByPeer, Requests: 10, Per: time.Minute, Logger: logger}.Handler,
		middleware.Method{Logger: logger}.Handler,
		middleware.Query{Logger: logger}.Handler,
		middleware.Body{Logger: logger}.Handler,
	}
	sign := func(v verify.Verifier) {
		ms = append(ms, middleware.Signature{Verifier: v, Now: now, Logger: logger}.Handler,
			middleware.RateLimit{Key: func(r *http.Request) string { return "all " + middleware.ByIdentity(r) }, Requests: 10, Per: time.Minute, Logger: logger}.Handler)
	}
	key := func(s string) verify.Key { return verify.Key{Secret: []byte(s)} }
	name, option, _ := strings.Cut(cfg, ":")
	switch name {
	case "tencent":
		token := "xxxxyyyy"
		if option != "" {
			token = strings.TrimPrefix(option, "token=")
		}
		v, err := verify.NewTencentSign(0, key(token))
		if err != nil {
			return nil, err
		}
		ms = append(ms, middleware.AppID{Apps: must(verify.NewAppID("1400000001")), Logger: logger}.Handler)
		sign(v)
		ms = append(ms, middleware.Payload[packet]{AllowNoContentType: true, Logger: logger}.Handler)
	case "sw":
		keys := []verify.Key{key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
		if secret, ok := strings.CutPrefix(option, "secret="); ok {
			keys = []verify.Key{key(secret)}
		} else if option == "rot" {
			keys = append(keys, verify.Key{Secret: []byte("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"), NotAfter: time.Unix(1614265400, 0)})
		}
		v, err := verify.NewStandard(0, keys...)
		if err != nil {
			return nil, err
		}
		sign(v)
		ms = append(ms, middleware.Dedup{Store: &middleware.MemoryDedup{}, ID: middleware.ByMessage, Logger: logger}.Handler,
			middleware.Payload[any]{Logger: logger}.Handler)
	case "edna":
		v, err := verify.NewToken("Authorization", "Token", true, key("K-0123456789abcdef"))
		if err != nil {
			return nil, err
		}
		ms = append([]middleware.Middleware{middleware.Probe{Logger: logger}.Handler}, ms...)
		sign(v)
		ms = append(ms, middleware.Payload[any]{AllowNoContentType: true, Logger: logger}.Handler)
	}
	return middleware.Chain(ms...), nil
}

func corpusTime(t *testing.T, s string) func() time.Time {
	t.Helper()
	if s == "" {
		return nil
	}
	sec, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return func() time.Time { return time.Unix(sec, 0) }
}

func corpusRequest(t *testing.T, f []string) *http.Request {
	t.Helper()
	path, query, _ := strings.Cut(corpusText(t, f[4]), "?")
	body := corpusBody(corpusText(t, f[6]))
	r := httptest.NewRequest(f[3], path, strings.NewReader(body))
	r.URL.RawQuery = query
	for line := range strings.SplitSeq(corpusText(t, f[5]), " || ") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	return r
}

// corpusText decodes the body of a Go string literal in which quotes stand as
// they are.
func corpusText(t *testing.T, s string) string {
	t.Helper()
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("field %q: %v", s, err)
	}
	return out
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
