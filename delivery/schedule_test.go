package delivery_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

func TestScheduleCountsFromTheEndOfTheFailedAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const took = 3 * time.Second
		r := newRig(t, func(r *rig) { r.plain.schedule = delivery.Standard() })
		r.answer = func(_ int, req *http.Request, _ string) (*http.Response, error) {
			return answer(500), hang(req, took)
		}
		r.subscribe()
		r.publish("x")
		r.run()
		r.pass(40 * time.Hour)

		pauses := []time.Duration{
			time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute,
			2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
		}
		got := r.requests()
		if len(got) != len(pauses)+1 {
			t.Fatalf("%d attempts, want %d", len(got), len(pauses)+1)
		}
		exact := 0
		for i, pause := range pauses {
			gap := got[i+1].at - got[i].end
			if slack := pause/10 + time.Millisecond; gap < pause-slack || gap > pause+slack {
				t.Errorf("pause %d was %v, want %v ±10 %%", i+1, gap, pause)
			}
			if gap.Round(time.Millisecond) == pause {
				exact++
			}
		}
		if exact == len(pauses) {
			t.Error("no pause has jitter")
		}
		want(t, "end", r.states(), "x=dead(answered 500)")
		st := r.all()[0]
		want(t, "attempts", st.Attempts, 10)
		want(t, "last status", st.LastStatus, 500)
		for i, a := range r.attempts(st.ID) {
			want(t, "number", a.Number, i+1)
			want(t, "duration", a.Duration, took)
			want(t, "class", a.Class, "status")
			want(t, "response", string(a.Response), "said 500")
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const schedule = time.Minute
	in := func(d time.Duration) string { // an HTTP date so long after a bubble's beginning
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
	}
	tests := map[string]struct {
		status int
		header []string
		gap    time.Duration // of the delivery
		hold   time.Duration // of another one of the lane
	}{
		"429 seconds":             {429, []string{"90"}, 90 * time.Second, 90 * time.Second},
		"503 seconds":             {503, []string{"90"}, 90 * time.Second, 90 * time.Second},
		"schedule is longer":      {429, []string{"30"}, schedule, 30 * time.Second},
		"zero":                    {429, []string{"0"}, schedule, 0},
		"500 holds no lane":       {500, []string{"90"}, 90 * time.Second, 0},
		"502 holds no lane":       {502, []string{"90"}, 90 * time.Second, 0},
		"408 holds no lane":       {408, []string{"90"}, 90 * time.Second, 0},
		"425 holds no lane":       {425, []string{"90"}, 90 * time.Second, 0},
		"302 holds no lane":       {302, []string{"90"}, 90 * time.Second, 0},
		"429 without":             {429, nil, schedule, 0},
		"date":                    {503, []string{in(2 * time.Minute)}, 2 * time.Minute, 2 * time.Minute},
		"date of the past":        {503, []string{in(-time.Hour)}, schedule, 0},
		"date after a year":       {503, []string{in(365 * 24 * time.Hour)}, 24 * time.Hour, 24 * time.Hour},
		"date of another age":     {503, []string{"Fri, 31 Dec 9999 23:59:59 GMT"}, 24 * time.Hour, 24 * time.Hour},
		"a year":                  {429, []string{"31536000"}, 24 * time.Hour, 24 * time.Hour},
		"overflows a Duration":    {429, []string{"9223372037"}, 24 * time.Hour, 24 * time.Hour},
		"overflows 64 bits":       {429, []string{"99999999999999999999"}, 24 * time.Hour, 24 * time.Hour},
		"negative":                {429, []string{"-5"}, schedule, 0},
		"signed":                  {429, []string{"+90"}, schedule, 0},
		"fraction":                {429, []string{"90.5"}, schedule, 0},
		"word":                    {429, []string{"soon"}, schedule, 0},
		"empty":                   {429, []string{""}, schedule, 0},
		"twice":                   {429, []string{"90", "90"}, schedule, 0},
		"accepted answers do not": {200, []string{"90"}, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.answer = func(n int, _ *http.Request, _ string) (*http.Response, error) {
					if n > 0 {
						return answer(200), nil
					}
					resp := answer(tt.status)
					resp.Header["Retry-After"] = tt.header
					return resp, nil
				}
				r.subscribe()
				r.publish("first")
				r.run()
				synctest.Wait()
				r.publish("second")
				r.pass(25 * time.Hour)
				at := map[string]time.Duration{}
				for _, s := range r.requests() {
					at[s.body] = s.at // the last one of each
				}
				want(t, "the delivery's", at["first"].Round(time.Millisecond), tt.gap)
				want(t, "the lane's", at["second"].Round(time.Millisecond), tt.hold)
				want(t, "end", r.states(), "first=delivered second=delivered")
			})
		})
	}
}

func TestRetryAfterDateOfASlowAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
			if n > 0 {
				return answer(200), nil
			}
			return answer(503, "Retry-After", r.start.Add(2*time.Minute).UTC().Format(http.TimeFormat)), hang(req, 20*time.Second)
		}
		r.subscribe()
		r.publish("x")
		r.run()
		r.pass(time.Hour)
		want(t, "requests", len(r.requests()), 2)
		want(t, "second attempt", r.requests()[1].at.Round(time.Second), 2*time.Minute)
	})
}

func TestLastAttemptHoldsTheLaneToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.plain.schedule = delivery.Never() })
		r.answer = func(n int, _ *http.Request, _ string) (*http.Response, error) {
			if n > 0 {
				return answer(200), nil
			}
			return answer(429, "Retry-After", "90"), nil
		}
		r.subscribe()
		r.publish("first")
		r.run()
		synctest.Wait()
		r.publish("second")
		r.pass(time.Hour)
		want(t, "end", r.states(), "first=dead(answered 429) second=delivered")
		want(t, "the lane's", r.requests()[1].at.Round(time.Millisecond), 90*time.Second)
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	words := map[delivery.Verdict]string{
		delivery.VerdictAccepted: "accepted", delivery.VerdictRetry: "retry",
		delivery.VerdictDead: "dead", delivery.VerdictDisable: "disable",
	}
	for status := range 1000 {
		wanted := "retry"
		switch {
		case status == 410:
			wanted = "disable"
		case status == 408 || status == 425 || status == 429:
		case status/100 == 2:
			wanted = "accepted"
		case status/100 == 4:
			wanted = "dead"
		}
		want(t, strconv.Itoa(status), words[delivery.Judge(status)], wanted)
	}
}

func TestAnswersAreObeyed(t *testing.T) {
	t.Parallel()
	for status, wanted := range map[int]string{
		101: "pending", 200: "delivered", 204: "delivered", 302: "pending", 400: "dead", 401: "dead", 404: "dead",
		408: "pending", 410: "dead", 425: "pending", 429: "pending", 500: "pending", 599: "pending", 600: "pending", 999: "pending",
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(status), nil }
				r.subscribe()
				r.publish("x")
				r.run()
				r.pass(time.Second)
				st := r.all()[0]
				want(t, "state", string(st.State), wanted)
				want(t, "last status", st.LastStatus, status)
				want(t, "requests", len(r.requests()), 1)
			})
		})
	}
}
