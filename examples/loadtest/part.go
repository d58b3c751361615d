package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"time"

	"github.com/ringback-go/ringback/internal/usage"
)

// The environment makes the program something else than the load test.
const (
	roleEnv      = "RINGBACK_LOADTEST_ROLE"
	orderEnv     = "RINGBACK_LOADTEST_ORDER"
	receiverRole = "receiver"
	partRole     = "part"
)

// order says what a child process is to run and measure.
type order struct {
	Part       string  // a name in parts
	Kind       string  // of store
	URL        string  // the receiver's
	Dir        string  // of the store's files
	Server     string  // URL of the database
	Schema     string  // in it
	Engines    int     // that share the work; 0 is 1
	Key        []byte  // seals the registry's secrets
	Profile    string  // where to write a profile; empty is nowhere
	Events     int     // how many to publish
	Endpoints  int     // that share them
	Cold       bool    // measure from an engine's first event on
	Goroutines int     // of the bare loop
	Waiting    int     // deliveries of a backlog
	Scenario   string  // of a backlog
	Hung       int     // endpoints that hang, or would
	Mode       string  // what the hung endpoints do
	PerSecond  float64 // of a paced load
	Seconds    float64 // of a paced load
}

// report is what a child measured.
type report struct {
	Error   string  // why it failed
	Events  int     // in Seconds
	Seconds float64 // from the first publish to the last settle
	CPU     float64 // seconds of this process meanwhile
	RSS     float64 // MiB that it took at most, ever
	Lost    int
	Twice   int
	Values  map[string]float64
}

func (r report) rate() float64       { return over(float64(r.Events), r.Seconds) }
func (r report) cpuPer1000() float64 { return over(r.CPU*1000, float64(r.Events)) }

// parts are what a child can run.
func parts() map[string]func(context.Context, order) (report, error) {
	return map[string]func(context.Context, order) (report, error){
		"bare": playBare, "barepace": playBarePace, "loop": playLoop, "enqueue": playEnqueue,
		"fill": playFill, "backlog": playBacklog, "fairness": playFairness, "latency": playLatency,
	}
}

// playPart is a child: it runs the ordered part and prints its report. It ends
// early when standard input does, which is with the parent.
func playPart(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // any end is the end
		cancel()
	}()
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(orderEnv)), &o); err != nil {
		return fmt.Errorf("loadtest: %s: %w", orderEnv, err)
	}
	play := parts()[o.Part]
	if play == nil {
		return fmt.Errorf("loadtest: no part %q", o.Part)
	}
	r, err := profiled(o.Profile, func() (report, error) { return play(ctx, o) })
	if err != nil {
		r = report{Error: err.Error()}
	}
	r.RSS = usage.PeakMiB()
	return json.NewEncoder(stdout).Encode(r)
}

func profiled(path string, play func() (report, error)) (r report, err error) {
	if path == "" {
		return play()
	}
	f, err := os.Create(path)
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return report{}, err
	}
	defer pprof.StopCPUProfile()
	return play()
}

// child runs a part in a fresh process of this program.
func (b *bench) child(ctx context.Context, o order) (report, error) {
	o.URL, o.Key = b.url, b.key
	exe, err := os.Executable()
	if err != nil {
		return report{}, err
	}
	return b.carriedOut(ctx, exe, o)
}

// carriedOut has a program run what is ordered.
func (b *bench) carriedOut(ctx context.Context, exe string, ordered any) (report, error) {
	said, err := json.Marshal(ordered)
	if err != nil {
		return report{}, err
	}
	cmd, stdin, stdout, err := startProgram(ctx, exe, b.stderr, roleEnv+"="+partRole, orderEnv+"="+string(said))
	if err != nil {
		return report{}, err
	}
	defer stdin.Close()
	var r report
	if err := errors.Join(json.NewDecoder(stdout).Decode(&r), cmd.Wait(), ctx.Err()); err != nil {
		return r, fmt.Errorf("its process failed: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// inScratch runs a part with a fresh folder, which is removed afterwards.
func (b *bench) inScratch(ctx context.Context, o order) (_ report, err error) {
	if o.Dir, err = os.MkdirTemp(b.scratch, "row-"); err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	if o, err = b.placed(o); err != nil {
		return report{}, err
	}
	if o.Schema != "" {
		defer func() { err = errors.Join(err, dropSchema(ctx, o)) }()
	}
	return b.child(ctx, o)
}

// startProgram starts a program that ends when the closer is closed.
func startProgram(ctx context.Context, exe string, stderr io.Writer, env ...string) (*exec.Cmd, io.Closer, io.Reader, error) {
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return cmd, stdin, stdout, cmd.Start()
}

// meter measures a stretch of a part: its own processor time and that of its
// store's server, if there is one on this machine.
type meter struct {
	begin  time.Time
	cpu    float64
	server func() float64
}

func startMeter(server func() float64) meter {
	if server == nil {
		server = func() float64 { return 0 }
	}
	return meter{cpu: usage.OwnSeconds() + server(), begin: time.Now(), server: server}
}

func (m meter) report(events int) report {
	seconds := time.Since(m.begin).Seconds()
	return report{Events: events, Seconds: seconds, CPU: usage.OwnSeconds() + m.server() - m.cpu, Values: map[string]float64{}}
}
