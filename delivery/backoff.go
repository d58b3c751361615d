package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Backoff says how long to wait after a failed attempt. It has no state:
// asking changes nothing, so a schedule survives a restart as a number.
type Backoff interface {
	// Delay returns the pause after failed attempt number attempt, counted from
	// 1, or false to give up.
	Delay(attempt int) (pause time.Duration, again bool)
}

// A Schedule is a Backoff as data: the pause after each failed attempt. Once
// they are used up the delivery is given up. The zero value gives up at once.
type Schedule struct {
	// Pauses are the delays, each from the end of the failed attempt.
	Pauses []time.Duration
	// Jitter spreads each pause by up to this part of it to both sides; 0.1 is
	// ±10 %.
	Jitter float64
}

// Delay implements [Backoff].
func (s Schedule) Delay(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(s.Pauses) {
		return 0, false
	}
	d := s.Pauses[attempt-1]
	if s.Jitter > 0 {
		d += time.Duration(s.Jitter * (2*rand.Float64() - 1) * float64(d))
	}
	return max(d, 0), true
}

// Standard returns the schedule of Standard Webhooks senders: 1 s, 5 s, 30 s,
// 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, each ±10 %.
func Standard() Schedule {
	return Schedule{
		Pauses: []time.Duration{
			time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute,
			2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
		},
		Jitter: 0.1,
	}
}

// Never gives up after the first attempt.
func Never() Schedule { return Schedule{} }

// Exponential returns a Backoff that starts at first, multiplies by factor
// after every failure up to ceiling, and gives up after retries pauses. Each
// pause is spread by ±jitter of it, and ceiling holds after the spreading.
func Exponential(first time.Duration, factor float64, ceiling time.Duration, retries int, jitter float64) Backoff {
	return FromPolicy(ceiling, func() backoff.BackOff {
		policy := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(first),
			backoff.WithMultiplier(factor),
			backoff.WithMaxInterval(ceiling),
			backoff.WithRandomizationFactor(jitter),
			backoff.WithMaxElapsedTime(0), // the number of retries ends it, not the clock
		)
		return backoff.WithMaxRetries(policy, uint64(max(retries, 0)))
	})
}

// FromPolicy makes a Backoff of any cenkalti/backoff policy: build returns a
// fresh one, of which the pause after attempt n is the nth. A positive ceiling
// cuts what the policy's own randomization adds beyond it. Attempt numbers past
// 1,000 give up.
func FromPolicy(ceiling time.Duration, build func() backoff.BackOff) Backoff {
	return policyBackoff{ceiling, build}
}

type policyBackoff struct {
	ceiling time.Duration
	build   func() backoff.BackOff
}

const maxSteps = 1000

func (p policyBackoff) Delay(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > maxSteps {
		return 0, false
	}
	policy := p.build()
	var d time.Duration
	for range attempt {
		if d = policy.NextBackOff(); d == backoff.Stop {
			return 0, false
		}
	}
	if p.ceiling > 0 {
		d = min(d, p.ceiling)
	}
	return max(d, 0), true
}
