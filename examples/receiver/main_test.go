package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// TestMain is the program itself in the processes that are killed.
func TestMain(m *testing.M) {
	if os.Getenv("RECEIVER_PROCESS") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

const host = "hooks.example.com"

// secrets are what a sender has, for all routes.
type secrets struct {
	standard, private, public, text, uuid string
	signed                                ed25519.PrivateKey
}

func newSecrets(t *testing.T, uuid string) secrets {
	t.Helper()
	s := secrets{standard: verify.GenerateSecret(), text: verify.GenerateSecret()[6:38], uuid: uuid}
	s.private, s.public = verify.GenerateKeyPair()
	var err error
	if _, s.signed, err = ed25519.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// file writes the configuration of a receiver that knows s.
func (s secrets) file(t *testing.T, forward string, edit func(map[string]any)) string {
	t.Helper()
	dir := t.TempDir()
	public, _ := s.signed.Public().(ed25519.PublicKey)
	c := map[string]any{
		"listen": "127.0.0.1:0", "host": host, "data": dir, "forward": forward,
		"standard": []string{s.standard, s.public}, "origins": []string{"events.example.net"},
		"github": []string{s.text}, "stripe": []string{s.text}, "slack": []string{s.text}, "shopify": []string{s.text},
		"tencent": map[string]any{"app": "1400000001", "tokens": []string{s.text}}, "smartbots": s.uuid, "edna": []string{s.text},
		"signed": map[string]string{"sender": base64.StdEncoding.EncodeToString(public)},
	}
	if edit != nil {
		edit(c)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "receiver.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the program and returns its address, and what drains it.
func start(t *testing.T, file string) (base string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		getenv := func(name string) string { return map[string]string{"RECEIVER_CONFIG": file}[name] }
		ended <- run(ctx, []string{"receiver"}, getenv, in, io.Discard)
		in.Close()
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return address(t, out), stop
}

func address(t *testing.T, out io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		t.Fatalf("the first line is %q", line)
	}
	return base
}

// desk is the URL that gets the notes.
type desk struct {
	*httptest.Server

	mu    sync.Mutex
	news  chan struct{} // is closed at the next request
	begun int
	hold  bool // requests wait and are not accepted
	notes []note
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{news: make(chan struct{})}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n note
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		return // the receiver was killed
	}
	if d.begin(n) {
		_, _ = io.Copy(io.Discard, r.Body) // at its end the server looks whether the client is there
		<-r.Context().Done()
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (d *desk) begin(n note) (hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun++
	close(d.news)
	d.news = make(chan struct{})
	if !d.hold {
		d.notes = append(d.notes, n)
	}
	return d.hold
}

// await returns when ok does of the requests that began and of the notes.
func (d *desk) await(t *testing.T, what string, ok func(begun int, notes []note) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		d.mu.Lock()
		done, news := ok(d.begun, d.notes), d.news
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-late:
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

func (d *desk) holding(hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = hold
}

func (d *desk) all() []note {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]note(nil), d.notes...)
}

// message makes a request of a sender; id is where the scheme has one.
type message func(t *testing.T, s secrets, base, id, body string) *http.Request

func unsigned(t *testing.T, target, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func byStandard(private bool) message {
	return func(t *testing.T, s secrets, base, id, body string) *http.Request {
		t.Helper()
		key, now := s.standard, time.Now()
		if private {
			key = s.private
		}
		signer, err := verify.NewStandard(0, verify.Key{Secret: []byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signer.Sign(id, now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		r := unsigned(t, base+"/standard", body)
		r.Header.Set("webhook-id", id)
		r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		r.Header.Set("webhook-signature", signature)
		return r
	}
}

func byPlatform(f verify.HMACFormat) message {
	return func(t *testing.T, s secrets, base, id, body string) *http.Request {
		t.Helper()
		signer, err := verify.NewHMAC(f, verify.Key{Secret: []byte(s.text)})
		if err != nil {
			t.Fatal(err)
		}
		r := unsigned(t, base+"/"+f.Name, body)
		if f.IDHeader == "" {
			id = ""
		}
		h, err := signer.Sign(id, verify.FromRequest(r, []byte(body), time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(r.Header, h)
		r.Header.Set("X-GitHub-Event", "issues")
		r.Header.Set("X-Shopify-Topic", "orders/paid")
		return r
	}
}

func byHTTPSig(t *testing.T, s secrets, base, id, body string) *http.Request {
	t.Helper()
	signer, err := httpsig.NewSigner(httpsig.SignerConfig{
		Authority: host, Components: []string{"@method", "@target-uri", "content-digest", "webhook-id"},
	}, httpsig.Key{ID: "sender", Algorithm: httpsig.Ed25519, Private: s.signed})
	if err != nil {
		t.Fatal(err)
	}
	r := unsigned(t, base+"/signed", body)
	r.Header.Set("Webhook-Id", id)
	h, err := signer.Sign(verify.FromRequest(r, []byte(body), time.Now()), "")
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, h)
	return r
}

func byEdna(t *testing.T, s secrets, base, _, body string) *http.Request {
	t.Helper()
	r := unsigned(t, base+"/edna", body)
	r.Header.Set("Authorization", "Token "+s.text)
	return r
}

func bySmartBots(t *testing.T, s secrets, base, id, body string) *http.Request {
	t.Helper()
	r := unsigned(t, base+"/smartbots", body+"&app_uuid="+s.uuid)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("webhook-id", id)
	return r
}

func byTencent(command string) message {
	return func(t *testing.T, s secrets, base, _, body string) *http.Request {
		t.Helper()
		signer, err := verify.NewTencentSign(0, verify.Key{Secret: []byte(s.text)})
		if err != nil {
			t.Fatal(err)
		}
		sign, at := signer.Sign(time.Now())
		return unsigned(t, base+"/tencent?SdkAppid=1400000001&CallbackCommand="+url.QueryEscape(command)+
			"&contenttype=json&ClientIP=203.0.113.7&OptPlatform=Web&Sign="+sign+"&RequestTime="+at, body)
	}
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(bytes.TrimSpace(body)), resp.Header}
}
