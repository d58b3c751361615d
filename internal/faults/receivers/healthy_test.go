package receivers_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

// share is what healthy endpoints keep, at least, of their rate.
const share = 0.95

// field is an engine with healthy endpoints and others that are well at times.
type field struct {
	*scene
	healthy, others []string
}

func newField(t *testing.T, rc *rig.Receiver, healthy, others int) *field {
	t.Helper()
	f := &field{}
	var all []string
	for i := range healthy {
		f.healthy = append(f.healthy, fmt.Sprintf("sub_h%d", i))
	}
	for i := range others {
		f.others = append(f.others, fmt.Sprintf("sub_o%d", i))
	}
	all = append(append(all, f.healthy...), f.others...)
	f.scene = newScene(t, rc, all...)
	return f
}

// offer has events published by the clock to every endpoint in turn, and
// returns how many the healthy ones accepted until shortly after the last was
// stored. What is offered is well below what the engine can do.
func (f *field) offer(t *testing.T, prefix string) (accepted int) {
	t.Helper()
	const ms, grace = 600, 300 * time.Millisecond
	all := append(slices.Clone(f.healthy), f.others...)
	rate := rig.Size(400, 300, 100)
	f.p.Send(t, "offer", prefix, ms, rate, strings.Join(all, " "))
	f.say(t, "offered")
	end := time.Now().Add(grace)
	want := 0
	for i := range rate * ms / 1000 {
		if i%len(all) < len(f.healthy) {
			want++
		}
	}
	rig.Eventually(t, "the healthy ones' events, or the end of the window", func() bool {
		accepted = 0
		for _, r := range f.rc.Requests() {
			if strings.HasPrefix(r.ID, prefix+"-") && slices.Contains(f.healthy, r.Path[1:]) && r.Accepted() && r.At.Before(end) {
				accepted++
			}
		}
		return accepted == want || time.Now().After(end)
	})
	return accepted
}

// keep compares the healthy endpoints with and without the fault, in turn, and
// fails the test unless they keep their share in one of the rounds: the machine
// is not ours alone, and an engine that lets the fault through never does.
func (f *field) keep(t *testing.T, on, off func()) {
	t.Helper()
	var ratios []float64
	for i := range 3 {
		without := f.offer(t, fmt.Sprintf("a%d", i))
		on()
		for _, id := range f.others { // enough to fill all slots, were it not for the caps
			f.backlog(t, id, fmt.Sprintf("c%d-%s", i, id), 100)
		}
		with := f.offer(t, fmt.Sprintf("b%d", i))
		off()
		f.settled(t)
		ratio := float64(with) / float64(max(without, 1))
		if ratio >= share {
			return
		}
		ratios = append(ratios, ratio)
	}
	t.Errorf("the healthy endpoints keep %.2f of their rate, want %.2f", ratios, share)
}

// closedPort is a URL that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

// Endpoints hang, reset, refuse, answer half or 500: nothing is lost, nothing
// is sent twice, the log says what happened, and the others keep their rate.
func TestB48B49B50B51B54HealthyKeepTheirRate(t *testing.T) {
	t.Parallel()
	hang, reset, half := rig.Answer{Hang: true}, rig.Answer{Reset: true}, rig.Answer{Half: true}
	for _, tt := range []struct {
		row     string
		others  int
		answers []rig.Answer // of the other endpoints, in turn
		move    string       // where they go in place of an answer
		class   []string
		caps    bool // as they are by default
	}{
		{row: "B48/hangs", others: 1, answers: []rig.Answer{hang}, class: []string{"conn", "timeout"}},
		{row: "B48/hangs, caps by default", others: 1, answers: []rig.Answer{hang}, class: []string{"conn", "timeout"}, caps: true},
		{row: "B49/30 percent hang and 10 reset", others: 8, answers: []rig.Answer{hang, hang, hang, reset}, class: []string{"conn", "timeout"}},
		{row: "B50/refused", others: 2, move: "closed", class: []string{"conn"}},
		{row: "B50/reset after the request", others: 2, answers: []rig.Answer{reset}, class: []string{"conn"}},
		{row: "B50/half an answer", others: 2, answers: []rig.Answer{half}, class: []string{"bad_response"}},
		{row: "B50/no TLS", others: 2, move: "https", class: []string{"tls"}},
		{row: "B51/500", others: 2, answers: []rig.Answer{{Status: 500}}, class: []string{"status"}},
		{row: "B54/every second 500", others: 2, answers: []rig.Answer{{Status: 500, Close: true}}, class: []string{"status"}},
	} {
		t.Run(tt.row, func(t *testing.T) {
			t.Parallel()
			f := newField(t, rig.Listen(t), 20-tt.others, tt.others)
			if tt.caps {
				f.spec.Lanes.MaxInFlight = 0
			}
			f.start(t)
			noTLS := raw(t, inClear)
			on := func() {
				for i, id := range f.others {
					switch tt.move {
					case "closed":
						f.ask(t, "move", id, closedPort(t)+"/"+id)
					case "https":
						f.ask(t, "move", id, "https://"+noTLS+"/"+id)
					default:
						bad := tt.answers[i%len(tt.answers)]
						f.rc.Handle("/"+id, func(n int, _ rig.Request) rig.Answer {
							if bad.Close && n%2 == 0 { // flaps
								return rig.Answer{}
							}
							return bad
						})
					}
				}
			}
			off := func() {
				for _, id := range f.others {
					f.rc.Handle("/"+id, nil)
					if tt.move != "" {
						f.ask(t, "move", id, f.rc.URL("/"+id))
					}
				}
				if slices.Contains(tt.class, "timeout") {
					f.rc.CutAll() // those that hang
				}
			}
			f.keep(t, on, off)
			f.stop(t)
			ev := f.evidence(t)
			ev.Check(t, rig.Allow{Repeats: cutAnswers(ev), Unlogged: cutAnswers(ev)})
			seen := map[string]int{}
			for _, e := range ev.Ledger {
				for class, n := range classes(e) {
					seen[class] += n
				}
			}
			if len(seen) == 0 {
				t.Error("no attempt failed")
			}
			for class := range seen {
				if !slices.Contains(tt.class, class) {
					t.Errorf("%d attempts failed by %q, want %q", seen[class], class, tt.class)
				}
			}
		})
	}
}

// cutAnswers counts good answers that a cut connection kept from leaving.
func cutAnswers(ev rig.Evidence) (n int) {
	for i := range ev.Requests {
		if r := &ev.Requests[i]; r.Accepted() && !r.Answered {
			n++
		}
	}
	return n
}
