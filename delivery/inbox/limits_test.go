package inbox_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/inbox"
)

// So many callbacks are handled at a time, each for so long.
func TestAtOnceAndForHowLong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg    inbox.Config
		atOnce int
		within time.Duration
	}{
		"as it is": {inbox.Config{}, 16, time.Minute},
		"few":      {inbox.Config{MaxAtOnce: 3, Timeout: time.Second}, 3, time.Second},
		"many":     {inbox.Config{MaxAtOnce: 100, Timeout: time.Hour}, 100, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				now := make(chan time.Duration, 150)
				end := make(chan struct{})
				cfg := tt.cfg
				cfg.Store = memory(t)
				cfg.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					until, _ := r.Context().Deadline()
					now <- time.Until(until)
					<-end
				})
				b := open(t, cfg)
				for i := range 150 {
					call(b, strconv.Itoa(i), "{}")
				}
				stop := run(t, b)
				time.Sleep(100 * time.Millisecond) // virtual: of slow work more is begun after a while
				if len(now) != tt.atOnce {
					t.Errorf("%d at once, want %d", len(now), tt.atOnce)
				}
				if got := <-now; got != tt.within {
					t.Errorf("each has %s, want %s", got, tt.within)
				}
				close(end)
				stop()
			})
		})
	}
}

// The second attempt knows what it is, and of the first only the failure counts.
func TestAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []inbox.Callback
		var at []time.Duration
		var peers []string
		begin := time.Now()
		b := open(t, inbox.Config{
			Store: memory(t), Schedule: delivery.Schedule{Pauses: []time.Duration{7 * time.Second, 9 * time.Second}},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				cb, _ := inbox.CallbackFrom(r.Context())
				got, at, peers = append(got, cb), append(at, time.Since(begin)), append(peers, r.RemoteAddr)
				switch len(got) {
				case 1: // what it wrote before the panic asks for nothing
					w.Header().Set("Retry-After", "3600")
					panic("no")
				case 2:
					w.WriteHeader(http.StatusInternalServerError)
					w.WriteHeader(http.StatusOK) // too late, as ever
				}
			}),
		})
		stop := run(t, b)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
		r.Header.Set("X-Id", "1")
		r.RemoteAddr = "203.0.113.9:1234"
		b.ServeHTTP(httptest.NewRecorder(), r)
		time.Sleep(time.Minute) // virtual
		stop()
		if len(got) != 3 || at[1].Round(time.Second) != 7*time.Second || at[2].Round(time.Second) != 16*time.Second {
			t.Fatalf("attempts at %v", at)
		}
		for i, cb := range got {
			if cb.Attempt != i+1 || cb.ID != got[0].ID || !cb.ReceivedAt.Equal(begin) || peers[i] != r.RemoteAddr {
				t.Errorf("attempt %d: %+v from %s", i+1, cb, peers[i])
			}
		}
		if _, ok := inbox.CallbackFrom(t.Context()); ok {
			t.Error("a callback outside of a handler")
		}
	})
}

// What each status means, and who is told when a callback is dead.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]delivery.State{
		200: delivery.Delivered, 299: delivery.Delivered, 300: delivery.Dead, 404: delivery.Dead, 408: delivery.Pending,
		409: delivery.Dead, 425: delivery.Pending, 429: delivery.Pending, 499: delivery.Dead, 500: delivery.Pending, 599: delivery.Pending,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				dead := 0
				b := open(t, inbox.Config{
					Store:   s,
					Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }),
					Notify:  func(context.Context, delivery.Notice) { dead++ },
				})
				stop := run(t, b)
				call(b, "1", "{}")
				synctest.Wait()
				stop()
				for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
					if err != nil || st.State != want || st.LastStatus != status {
						t.Errorf("%s (%d), want %s, %v", st.State, st.LastStatus, want, err)
					}
				}
				if (dead == 1) != (want == delivery.Dead) {
					t.Errorf("%d notices", dead)
				}
			})
		})
	}
}

// A repeat is recognized for as long as Retention says.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := open(t, inbox.Config{
			Store: memory(t), Retention: delivery.Retention{Delivered: time.Hour},
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n++ }),
		})
		stop := run(t, b)
		for i, pause := range []time.Duration{0, 50 * time.Minute, 2 * time.Hour} {
			time.Sleep(pause) // virtual
			call(b, "1", "{}")
			synctest.Wait()
			if want := 1 + i/2; n != want {
				t.Errorf("after %s: handled %d times, want %d", pause, n, want)
			}
		}
		stop()
	})
}

// Who is at work when Run shall end has ten seconds; else it is for the next Run.
func TestDrain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		takes time.Duration
		after time.Duration
		state delivery.State
	}{
		"in time":  {9 * time.Second, 9 * time.Second, delivery.Delivered},
		"too late": {11 * time.Second, 10 * time.Second, delivery.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				b := open(t, inbox.Config{Store: s, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(tt.takes):
					case <-r.Context().Done():
					}
				})})
				stop := run(t, b)
				call(b, "1", "{}")
				synctest.Wait()
				begin := time.Now()
				stop()
				if took := time.Since(begin).Round(time.Second); took != tt.after {
					t.Errorf("it took %s, want %s", took, tt.after)
				}
				for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
					if err != nil || st.State != tt.state {
						t.Errorf("%s, want %s, %v", st.State, tt.state, err)
					}
				}
			})
		})
	}
}

func TestHeadersThatAreNotStored(t *testing.T) {
	t.Parallel()
	s := memory(t)
	b := open(t, inbox.Config{Store: s, Handler: http.NotFoundHandler(), Drop: []string{"x-api-KEY"}})
	call(b, "1", "{}", "Authorization", "s3cret", "Cookie", "s3cret", "Proxy-Authorization", "s3cret", "X-Api-Key", "s3cret", "X-Kept", "kept")
	for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		_, header, _, err := inbox.Decode(st.Body)
		if err != nil || strings.Contains(string(st.Body), "s3cret") || header.Get("X-Kept") != "kept" {
			t.Errorf("stored %q, %v", st.Body, err)
		}
	}
}

// What the store gives back broken is a dead letter, not an attempt for ever.
func TestBrokenRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		b := open(t, inbox.Config{Store: s, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was handled") })})
		good, err := inbox.Encode(httptest.NewRequest(http.MethodPost, "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		noPath := strings.Replace(string(good), "\x01/", "\x01%", 1)
		for i, body := range []string{"", "\x02", string(good[:5]), noPath} {
			err := s.Enqueue(t.Context(), time.Time{}, delivery.Delivery{
				ID: strconv.Itoa(i), EventID: strconv.Itoa(i), SubscriptionID: "sub_inbox", Dialect: "inbox", Type: "callback", Body: []byte(body),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		stop := run(t, b)
		synctest.Wait()
		stop()
		n := 0
		for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
			if n++; err != nil || st.State != delivery.Dead || !strings.Contains(st.LastError+st.Reason, "cannot be read") {
				t.Errorf("%s: %s %q %q, %v", st.ID, st.State, st.LastError, st.Reason, err)
			}
		}
		if n != 4 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestDefaultMaxBody(t *testing.T) {
	t.Parallel()
	b := open(t, inbox.Config{Store: memory(t), Handler: http.NotFoundHandler()})
	for n, want := range map[int]int{128 << 10: http.StatusNoContent, 128<<10 + 1: http.StatusRequestEntityTooLarge} {
		if w := call(b, strconv.Itoa(n), strings.Repeat("x", n)); w.Code != want {
			t.Errorf("%d bytes: %d", n, w.Code)
		}
	}
	for name, cfg := range map[string]inbox.Config{
		"body": {MaxBody: -1}, "at once": {MaxAtOnce: -1}, "timeout": {Timeout: -1},
	} {
		cfg.Store, cfg.Handler, cfg.ID = memory(t), http.NotFoundHandler(), byHeader
		if _, err := inbox.New(cfg); err == nil || !strings.Contains(err.Error(), "negative") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
