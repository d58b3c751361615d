package delivery_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ringback-go/ringback/delivery"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	s := delivery.Schedule{Pauses: []time.Duration{time.Second, time.Minute}}
	for attempt, wanted := range map[int]time.Duration{-1: -1, 0: -1, 1: time.Second, 2: time.Minute, 3: -1, math.MaxInt: -1} {
		got, again := s.Delay(attempt)
		if again != (wanted >= 0) || again && got != wanted {
			t.Errorf("attempt %d: %v, %v", attempt, got, again)
		}
	}
	for name, b := range map[string]delivery.Backoff{"zero": delivery.Schedule{}, "never": delivery.Never()} {
		if _, again := b.Delay(1); again {
			t.Errorf("%s goes on", name)
		}
	}
}

func TestScheduleJitter(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{0.1, 0.5, 1, 3} {
		s := delivery.Schedule{Pauses: []time.Duration{time.Minute}, Jitter: jitter}
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 2000 {
			d, _ := s.Delay(1)
			least, most = min(least, d), max(most, d)
		}
		width := time.Duration(jitter * float64(time.Minute))
		if least < max(time.Minute-width, 0) || most > time.Minute+width {
			t.Errorf("jitter %v: from %v to %v", jitter, least, most)
		}
		if most-least < width { // half of what there is
			t.Errorf("jitter %v spreads from %v to %v only", jitter, least, most)
		}
	}
}

// The schedule of edna's documents: 4, 8, … 2048 s, 4092 s in all.
func TestExponential(t *testing.T) {
	t.Parallel()
	b := delivery.Exponential(4*time.Second, 2, 2048*time.Second, 10, 0)
	sum, wanted := time.Duration(0), 4*time.Second
	for attempt := 1; attempt <= 10; attempt++ {
		d, again := b.Delay(attempt)
		if !again || d != wanted {
			t.Errorf("attempt %d: %v, %v, want %v", attempt, d, again, wanted)
		}
		sum += d
		wanted *= 2
	}
	want(t, "sum", sum, 4092*time.Second)
	if _, again := b.Delay(11); again {
		t.Error("goes on after 10 retries")
	}
	if _, again := delivery.Exponential(time.Second, 2, time.Minute, 0, 0).Delay(1); again {
		t.Error("goes on without retries")
	}
	if _, again := delivery.Exponential(time.Second, 2, time.Minute, -3, 0).Delay(1); again {
		t.Error("goes on with less than no retries")
	}
	if _, again := b.Delay(0); again {
		t.Error("there is no attempt 0")
	}
}

func TestExponentialCeilingHoldsAfterSpreading(t *testing.T) {
	t.Parallel()
	b := delivery.Exponential(time.Second, 2, 10*time.Second, 100, 0.5)
	atCeiling := 0
	for range 500 {
		d, again := b.Delay(50)
		if !again || d > 10*time.Second || d < 5*time.Second {
			t.Fatalf("%v, %v", d, again)
		}
		if d == 10*time.Second {
			atCeiling++
		}
	}
	if atCeiling == 0 || atCeiling == 500 {
		t.Errorf("%d of 500 at the ceiling", atCeiling)
	}
}

func TestFromPolicy(t *testing.T) {
	t.Parallel()
	built := 0
	b := delivery.FromPolicy(30*time.Second, func() backoff.BackOff {
		built++
		return backoff.NewConstantBackOff(time.Minute)
	})
	for range 3 { // asking changes nothing
		for _, attempt := range []int{7, 1, 1000} {
			if d, again := b.Delay(attempt); !again || d != 30*time.Second {
				t.Errorf("attempt %d: %v, %v", attempt, d, again)
			}
		}
	}
	want(t, "policies built", built, 9)
	for _, attempt := range []int{0, -1, 1001, math.MaxInt} {
		if _, again := b.Delay(attempt); again {
			t.Errorf("attempt %d goes on", attempt)
		}
	}
	endless := delivery.FromPolicy(0, func() backoff.BackOff { return backoff.NewConstantBackOff(time.Minute) })
	if d, _ := endless.Delay(3); d != time.Minute {
		t.Errorf("no ceiling: %v", d)
	}
	if _, again := delivery.FromPolicy(0, func() backoff.BackOff { return &backoff.StopBackOff{} }).Delay(1); again {
		t.Error("goes on after Stop")
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "-1", "+1", " 1", "1e3", "9223372037", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "٣"} {
		f.Add(seed)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		d := delivery.RetryAfter(http.Header{"Retry-After": {value}}, now)
		if d < 0 || d > delivery.MaxRetryAfter {
			t.Errorf("%q: %v", value, d)
		}
		if d > 0 && !strings.ContainsAny(value, "0123456789") {
			t.Errorf("%q: %v out of nothing", value, d)
		}
		if twice := delivery.RetryAfter(http.Header{"Retry-After": {value, value}}, now); twice != 0 {
			t.Errorf("%q twice: %v", value, twice)
		}
	})
}
