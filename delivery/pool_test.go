package delivery_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// TestHangingAttemptHoldsUpNobody: whenever the second delivery comes, it finds
// a sender, although there is one that was idle a moment ago and now hangs.
func TestHangingAttemptHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
				if n == 1 { // the second request, after one that made a sender
					return answer(200), hang(req, time.Hour)
				}
				return answer(200), nil
			}
			r.subscribe(func(s *registry.Subscription) { s.Limits.MaxInFlight = 8 })
			r.run()
			r.publish("a")
			r.pass(time.Second)
			r.publish("b")
			r.publish("c")
			r.pass(time.Second)
			if end := r.states(); end != "a=delivered b=pending c=delivered" && end != "a=delivered b=delivered c=pending" {
				t.Errorf("the end is %s: one hangs, the other must not", end)
			}
		})
	}
}
