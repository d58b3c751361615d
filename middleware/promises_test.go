package middleware_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// proofs are the tests of promises about receiving that no row of the corpus
// proves (those are named by promised), or not alone.
var proofs = map[string][]func(*testing.T){
	"A-SIG-23":   {TestMoreRows},
	"A-SIG-27":   {TestMoreRows},
	"A-SIG-34":   {TestWiringPanics}, // kept too short
	"A-SIG-40":   {TestMoreRows, TestProbe},
	"A-SIG-43":   {TestInboundSecrets, TestDenyOnce},
	"A-BODY-06":  {TestMoreRows},
	"A-BODY-10":  {TestMoreRows},
	"A-BODY-12":  {TestBodyOverNetwork, TestBody, TestServerHeads},
	"A-BODY-16":  {TestBodyTwice, TestBodyAgain},
	"A-BODY-17":  {TestServerHeads},
	"A-BODY-18":  {TestServerTimes},
	"A-BODY-19":  {TestDedupCutBody},
	"A-BODY-20":  {TestServerHeads},
	"A-HDR-01":   {TestMethod},
	"A-HDR-02":   {TestByPeer, TestProxies},
	"A-HDR-03":   {TestProxies, TestPerApp},
	"A-HDR-04":   {TestProxies},
	"A-HDR-05":   {TestProxies},
	"A-HDR-06":   {TestProxies, TestProxiesForwarded},
	"A-HDR-07":   {TestServerHeads},
	"A-HDR-08":   {TestServerHeads},
	"A-HDR-09":   {TestServerHeads},
	"A-HDR-10":   {TestServerHeads},
	"A-FLOOD-01": {TestLimiterMemory, TestLimiterOverflow},
	"A-FLOOD-02": {TestByPeer, TestByNetwork},
	"A-FLOOD-03": {TestLimiterOverflow},
	"A-FLOOD-04": {TestPerApp},
	"A-FLOOD-05": {TestFloodOfWrongSignatures},
	"A-FLOOD-06": {TestFloodOfWrongSignatures},
	"A-FLOOD-07": {TestMemoryDedupMillion},
	"A-FLOOD-08": {TestDedupReplays, TestMemoryDedupBytes},
	"A-FLOOD-09": {TestDedupInProgress}, // 503 in place of 409, and nobody waits
	"A-FLOOD-10": {TestDedupPanicReleases, TestDedupLease},
	"A-FLOOD-11": {TestServerTimes},
	"A-FLOOD-12": {TestServerTimes},
	"A-FLOOD-13": {TestServerUnreadAnswer},
	"A-FLOOD-14": {TestServerTimes},
	"A-FLOOD-15": {TestServerRelease},
	"A-FLOOD-25": {TestRecover, TestRecoverOnTheWire},
}

// notHere are promises that the gates do not keep, with who does.
var notHere = map[string]string{
	"A-SIG-17":  "the dialect: the command stands in the packet too",
	"A-SIG-35":  "a comparison in constant time is reviewed, not measured",
	"A-SIG-36":  "the dialect: refusals of SmartBots have status 200; package verify runs the rows as well",
	"A-SIG-37":  "the dialect, as A-SIG-36",
	"A-SIG-38":  "the dialect, as A-SIG-36",
	"A-SIG-41":  "the dialect: edna's registration",
	"A-SIG-42":  "the dialect: edna's registration",
	"A-BODY-04": "the dialect: a NUL is a text like others to JSON",
}

// TestPromises: every promise about receiving has a test, or a reason.
func TestPromises(t *testing.T) {
	t.Parallel()
	for area, last := range map[string]int{"A-SIG": 43, "A-BODY": 20, "A-HDR": 10, "A-FLOOD": 15} {
		for n := 1; n <= last; n++ {
			id := area + "-" + strconv.Itoa(n)
			if n < 10 {
				id = area + "-0" + strconv.Itoa(n)
			}
			if promised[id] == "" && len(proofs[id]) == 0 && notHere[id] == "" {
				t.Errorf("%s has no test", id)
			}
		}
	}
	// What rows are to prove, rows must be there for.
	ran := map[string]bool{}
	for _, f := range corpusRows(t) {
		for id := range strings.FieldsSeq(promisesOf(f[0])) {
			ran[id] = true
		}
	}
	for id := range promised {
		if !ran[id] && len(proofs[id]) == 0 {
			t.Errorf("%s: none of its rows is in the corpus", id)
		}
	}
}

// TestOneAnswer: every gate answers a refusal by itself, once, and what passes
// is answered by the handler alone.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	body := middleware.Body{Limit: 64, Logger: quiet}.Handler
	spent := middleware.RateLimit{Key: middleware.ByPeer, Requests: 1, Per: time.Hour, Logger: quiet}.Handler
	secretOf := func(next http.Handler) http.Handler {
		return body(middleware.Secret{Secret: must(secretForTests()), Logger: quiet}.Handler(next))
	}
	for _, tt := range []struct {
		name    string
		gate    middleware.Middleware
		good    *http.Request
		bad     *http.Request
		refusal int
	}{
		{"Method", middleware.Method{Logger: quiet}.Handler, post("/", "", ""), httptest.NewRequest(http.MethodPut, "/", nil), 405},
		{"Query", middleware.Query{Logger: quiet}.Handler, post("/?a=b", "", ""), post("/?a;b", "", ""), 400},
		{"Body", body, post("/", "", "a"), post("/", "", strings.Repeat("x", 65)), 413},
		{"AppID", middleware.AppID{Apps: apps(), Logger: quiet}.Handler, post("/?SdkAppid=1400000001", "", ""), post("/", "", ""), 401},
		{"Signature", middleware.Chain(body, middleware.Signature{Verifier: tencent(), Now: then, Logger: quiet}.Handler), post(tencentURL, "", ""), post("/", "", ""), 401},
		{"Secret", secretOf, post("/", formType, "group=g&secret=DEMO-CODE"), post("/", formType, "group=g&secret=x"), 401},
		{"RateLimit", spent, post("/", "", ""), post("/", "", ""), 429},
		{"Handshake", middleware.Handshake{Origins: []string{"a.example"}, Logger: quiet}.Handler, post("/", "", ""), asking("b.example"), 403},
		{"Probe", middleware.Probe{Challenge: "c", Logger: quiet}.Handler, post("/", "", ""), httptest.NewRequest(http.MethodGet, "/?c=1&c=2", nil), 400},
		{"BodyChallenge", middleware.Chain(body, middleware.BodyChallenge{Logger: quiet}.Handler), post("/", "", "{}"), post("/", "", `{"type":"url_verification"}`), 400},
		{"Dedup", func(next http.Handler) http.Handler { return guarded(dedup(&middleware.MemoryDedup{}), next.ServeHTTP) }, withID("1", "a"), withID("1", "b"), 409},
		{"Payload", middleware.Chain(body, middleware.Payload[item]{Logger: quiet}.Handler), post("/", "application/json", `{"name":"x"}`), post("/", "application/json", `{}`), 422},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handled := 0
			h := tt.gate(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				handled++
				w.WriteHeader(http.StatusAccepted)
				_, _ = w.Write([]byte("handled"))
			}))
			if w := serve(t, h, tt.good); w.Code != 202 || w.Body.String() != "handled" || handled != 1 {
				t.Errorf("accepted: %d %q, handled %d times", w.Code, w.Body, handled)
			}
			if w := serve(t, h, tt.bad); w.Code != tt.refusal || handled != 1 {
				t.Errorf("refused: %d, want %d, handled %d times", w.Code, tt.refusal, handled)
			}
		})
	}
	t.Run("Handle", func(t *testing.T) {
		t.Parallel()
		h := body(middleware.HandleWith(middleware.HandleConfig{Logger: quiet}, func(_ context.Context, i item) (item, error) { return i, nil }))
		if w := serve(t, h, post("/", "application/json", `{"name":"x"}`)); w.Code != 200 || w.Body.String() != `{"name":"x"}` || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("accepted: %d %s %v", w.Code, w.Body, w.Header())
		}
		if w := serve(t, h, post("/", "application/json", `{`)); w.Code != 400 {
			t.Errorf("refused: %d", w.Code)
		}
	})
	t.Run("Recover", func(t *testing.T) {
		t.Parallel()
		h := middleware.Recover{Logger: quiet}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
		if w := serve(t, h, post("/", "", "")); w.Code != 500 {
			t.Errorf("refused: %d", w.Code)
		}
	})
}

func asking(origin string) *http.Request {
	r := httptest.NewRequest(http.MethodOptions, "/", nil)
	r.Header.Set("WebHook-Request-Origin", origin)
	return r
}

// TestMoreRows are promises without rows in the corpus, through the same
// stacks.
func TestMoreRows(t *testing.T) {
	t.Parallel()
	const first = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	at := time.Unix(1614265330, 0)
	signer := must(verify.NewStandard(0, verify.Key{Secret: []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}))
	good := must(signer.Sign(first, at, []byte("{}")))
	standard := func(id, signature string) *http.Request {
		r := post("/sw", "application/json", "{}")
		r.Header["Webhook-Id"], r.Header["Webhook-Timestamp"], r.Header["Webhook-Signature"] = []string{id}, []string{"1614265330"}, []string{signature}
		return r
	}
	// Verify would refuse to sign these ids.
	signed := func(id string) string {
		mac := hmac.New(sha256.New, must(base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")))
		mac.Write([]byte(id + ".1614265330.{}"))
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	tencentBody := func(body string) *http.Request { return post(tencentURL, "application/json", body) }
	longest, decades := strings.Repeat("m", 256), strings.Repeat("9", 60_000)
	for _, tt := range []struct {
		name, cfg string
		r         *http.Request
		status    int
		group     string
	}{
		{"A-SIG-23 64 signatures", "sw", standard(first, strings.Repeat("v9,x ", 63)+good), 200, ""},
		{"A-SIG-23 65 signatures", "sw", standard(first, strings.Repeat("v9,x ", 64)+good), 401, ""},
		{"A-SIG-23 65 good ones", "sw", standard(first, strings.TrimSuffix(strings.Repeat(good+" ", 65), " ")), 401, ""},
		{"A-SIG-27 id of 256 bytes", "sw", standard(longest, signed(longest)), 200, ""},
		{"A-SIG-27 id of 257 bytes", "sw", standard(longest+"m", signed(longest+"m")), 401, ""},
		{"A-SIG-27 id not ASCII", "sw", standard("msg_é", signed("msg_é")), 401, ""},
		{"A-SIG-40 probe", "edna", httptest.NewRequest(http.MethodHead, "/edna", nil), 200, ""},
		{"A-BODY-06 other case behind", "tencent", tencentBody(`{"GroupId":"good","GROUPID":"bad"}`), 200, "good"},
		{"A-BODY-06 other case before", "tencent", tencentBody(`{"groupid":"bad","GroupId":"good"}`), 200, "good"},
		{"A-BODY-06 other case alone", "tencent", tencentBody(`{"groupId":"bad"}`), 200, ""},
		{"A-BODY-10 long number", "tencent", tencentBody(`{"GroupId":"good","x":` + decades + `}`), 200, "good"},
		{"A-BODY-10 long fraction", "tencent", tencentBody(`{"GroupId":"good","x":0.` + decades + `}`), 200, "good"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := func() time.Time { return at }
			if tt.cfg == "tencent" {
				now = then
			}
			group, handled := "", 0
			h := must(corpusGates(tt.cfg, now, quiet))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				p, _ := middleware.PayloadFrom[packet](r.Context())
				group = p.GroupID
				handled++
			}))
			probe := tt.r.Method == http.MethodHead
			if w := serve(t, h, tt.r); w.Code != tt.status || group != tt.group || (handled == 1) != (tt.status == 200 && !probe) || probe && w.Body.Len() > 0 {
				t.Errorf("status %d, group %q, handled %d times", w.Code, group, handled)
			}
		})
	}
}
