package receivers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

// A-RESP-32, A-RESP-33, A-RESP-34: Retry-After as it comes: a short one is waited for, a long one is a day, one
// that is none is the schedule's pause. On 429 and 503 it holds the endpoint,
// also over a restart.
func TestB52RetryAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name   string
		status int
		value  string
		want   time.Duration // 0: by the schedule
		holds  bool
	}{
		{"a second", 429, "1", time.Second, true},
		{"a second 503", 503, "1", time.Second, true},
		{"a year", 429, "31536000", day, true},
		{"a year 500", 500, "31536000", day, false},
		{"negative", 429, "-30", 0, false},
		{"overflow", 429, "18446744073709551646", day, true},
		{"64 bits", 429, "9223372036854775807", day, true},
		{"nanoseconds", 429, "9223372037", day, true},
		{"past", 429, "Mon, 02 Jan 2006 15:04:05 GMT", 0, false},
		{"year 9999", 503, "Fri, 31 Dec 9999 23:59:59 GMT", day, true},
		{"nonsense", 429, "NaN", 0, false},
		{"plus", 429, "+3600", 0, false},
		{"empty", 429, "", 0, false},
	}
	s := newScene(t, rig.Listen(t), well)
	id := func(i int) string { return fmt.Sprintf("sub_%d", i) }
	answered := 0 // in the end, before the restart
	for i, tt := range tests {
		s.spec.Endpoints = append(s.spec.Endpoints, s.rc.Endpoint(id(i)))
		s.rc.Handle("/"+id(i), rig.InTurn(rig.Answer{Status: tt.status, Header: map[string][]string{"Retry-After": {tt.value}}}, rig.Answer{}))
		if tt.want < day {
			answered++
		}
	}
	s.start(t)
	for i := range tests {
		s.publish(t, id(i), fmt.Sprint("first", i))
	}
	s.rc.WaitAccepted(t, answered)
	rig.Eventually(t, "the others' first attempts to be settled", func() bool { return s.pending(t) == len(tests)-answered })
	s.stop(t)
	s.start(t)
	accepted := answered + 1
	for i, tt := range tests { // another one waits, too, if the endpoint is held
		s.publish(t, id(i), fmt.Sprint("second", i))
		if tt.want < day || !tt.holds {
			accepted++
		}
	}
	s.publish(t, well, "last")
	s.rc.WaitAccepted(t, accepted)
	s.stop(t)
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{Pending: true})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rs := rig.OfPath(ev.Requests, "/"+id(i))
			first, _ := ev.Ledger.Get(fmt.Sprint("first", i), id(i))
			if tt.want < day {
				if len(rs) != 3 {
					t.Fatalf("%d requests", len(rs))
				}
				if waited := rs[1].At.Sub(rs[0].At); waited < tt.want {
					t.Errorf("repeated after %s, want %s", waited, tt.want)
				}
				return
			}
			want := 2
			if tt.holds {
				want = 1
			}
			if len(rs) != want {
				t.Errorf("%d requests, want %d", len(rs), want)
			}
			if in := first.NextAttemptAt.Sub(first.Log[0].At); in < tt.want-time.Second || in > tt.want+time.Minute {
				t.Errorf("tried again in %s, want %s", in, tt.want)
			}
		})
	}
}
