package tencentchat_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

const command = tencentchat.CommandGroupAttrChanged

// backend answers every request with the packet of its turn, the last one for
// ever, and keeps what came. An empty packet never comes.
type backend struct {
	begin   time.Time
	answers []string

	mu  sync.Mutex
	got []sent
}

// sent is one request as the client saw it; stores round due times up by
// microseconds.
type sent struct {
	after  time.Duration
	at     time.Time
	url    string
	header http.Header
	body   string
}

func (b *backend) requests() []sent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]sent(nil), b.got...)
}

// later is the bubble's clock moved to where Unix times have ten digits.
func later() time.Time { return time.Now().AddDate(30, 0, 0) }

func (b *backend) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	answer := b.answers[min(len(b.got), len(b.answers)-1)]
	b.got = append(b.got, sent{time.Since(b.begin).Round(time.Millisecond), later(), r.Method + " " + r.URL.String(), r.Header.Clone(), string(body)})
	b.mu.Unlock()
	if answer == "" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

// running starts an engine in a bubble and subscribes the app.
func running(t *testing.T, d tencentchat.Dialect, a tencentchat.App, b *backend) (*delivery.Engine, *memstore.Store) {
	t.Helper()
	store, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b.begin = time.Now()
	e, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Client: b, Logger: quiet, Now: later,
		Dialects: map[string]delivery.Dialect{tencentchat.Name: d},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.URL, a.Commands = "https://im.example.com/cb?k=v", []string{command}
	sub, err := tencentchat.NewSubscription(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Subscribe(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return e, store
}

func published(data string) delivery.Event {
	return delivery.Event{ID: "evt", Dialect: tencentchat.Name, Tenant: appID, Type: command, Data: []byte(data)}
}

// settle lets so much of the bubble's time pass; the seconds are not real.
func settle(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func signatureOf(token string, at time.Time) string {
	requestTime := strconv.FormatInt(at.Unix(), 10)
	sum := sha256.Sum256([]byte(token + requestTime))
	return "&Sign=" + hex.EncodeToString(sum[:]) + "&RequestTime=" + requestTime
}

// TestRetryOff: the platform's default is one attempt.
func TestRetryOff(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"refused": `{"ActionStatus":"FAIL"}`, "hanging": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &backend{answers: []string{answer}}
				e, store := running(t, tencentchat.Dialect{}, app(), b)
				ev := published(`{"GroupId":"<&>", "OptionType": "set"}`)
				ev.At = time.UnixMilli(1670574414123)
				ev.Meta = map[string]string{"client_ip": "2001:db8::7", "opt_platform": "iOS", "else": "x"}
				if _, err := e.Publish(t.Context(), ev); err != nil {
					t.Fatal(err)
				}
				settle(time.Hour)
				got := b.requests()
				if len(got) != 1 {
					t.Fatalf("%d requests, want 1", len(got))
				}
				if want := "POST https://im.example.com/cb?k=v&SdkAppid=1400000001&CallbackCommand=" + command + "&contenttype=json&ClientIP=2001%3Adb8%3A%3A7&OptPlatform=iOS"; got[0].url != want {
					t.Errorf("%s, want %s", got[0].url, want)
				}
				if want := `{"CallbackCommand":"` + command + `","GroupId":"<&>","OptionType":"set","EventTime":1670574414123}`; got[0].body != want {
					t.Errorf("%s, want %s", got[0].body, want)
				}
				want := http.Header{"Content-Type": {"application/json"}, "User-Agent": got[0].header["User-Agent"], delivery.HeaderID: {"evt"}}
				if diff := cmp.Diff(want, got[0].header); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				for st, err := range store.Deliveries(t.Context(), delivery.Filter{}) {
					if err != nil || st.State != delivery.Dead {
						t.Errorf("%s %v", st.State, err)
					}
					attempts, err := store.Attempts(t.Context(), st.ID)
					if err != nil || len(attempts) != 1 {
						t.Fatalf("%d attempts, %v", len(attempts), err)
					}
					if took := attempts[0].Duration; answer == "" && took != 2*time.Second {
						t.Errorf("hung for %v, want 2s", took)
					}
				}
			})
		})
	}
}

// TestRetryOn: the standard schedule, each attempt signed afresh with the token
// of the moment, body and id the same.
func TestRetryOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		tokens := []string{token, "second"}
		signer := func(id string) (verify.TencentSign, bool) {
			mu.Lock()
			defer mu.Unlock()
			apps, err := tencentchat.NewApps(app(tokens...))
			if err != nil {
				t.Error(err)
			}
			return apps.Signer(id)
		}
		a := app()
		a.Retry = true
		b := &backend{answers: []string{`{"ActionStatus":"FAIL"}`, `no`, `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`}}
		e, store := running(t, tencentchat.Dialect{Signer: signer}, a, b)
		if _, err := e.Publish(t.Context(), published(`{"EventTime":"5"}`)); err != nil {
			t.Fatal(err)
		}
		settle(3 * time.Second)
		mu.Lock()
		tokens = []string{"second"}
		mu.Unlock()
		settle(time.Hour)

		got := b.requests()
		if len(got) != 3 {
			t.Fatalf("%d requests, want 3", len(got))
		}
		for i, s := range got {
			own := token
			if i == 2 {
				own = "second"
			}
			want := "POST https://im.example.com/cb?k=v&SdkAppid=1400000001&CallbackCommand=" + command + "&contenttype=json&OptPlatform=RESTAPI" + signatureOf(own, s.at)
			if s.url != want {
				t.Errorf("request %d: %s, want %s", i, s.url, want)
			}
			if want := `{"CallbackCommand":"` + command + `","EventTime":5}`; s.body != want || !slices.Equal(s.header[delivery.HeaderID], []string{"evt"}) {
				t.Errorf("request %d: %s, want %s", i, s.body, want)
			}
		}
		for i, d := range []time.Duration{0, time.Second, 6 * time.Second} {
			if off := got[i].after - d; off < -d/10 || off > d/10 {
				t.Errorf("request %d after %v, want about %v", i, got[i].after, d)
			}
		}
		for st, err := range store.Deliveries(t.Context(), delivery.Filter{}) {
			if err != nil || st.State != delivery.Delivered {
				t.Errorf("%s %v", st.State, err)
			}
		}
	})
}

// TestNotSwitchedOn: other commands are not sent.
func TestNotSwitchedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{answers: []string{`{"ActionStatus":"OK"}`}}
		e, _ := running(t, tencentchat.Dialect{}, app(), b)
		ev := published(`{}`)
		ev.Type = "Group.CallbackAfterGroupFull"
		out, err := e.Publish(t.Context(), ev)
		if err != nil || out[0].Deliveries != 0 {
			t.Errorf("%v %v", out, err)
		}
		settle(time.Hour)
		if n := len(b.requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
