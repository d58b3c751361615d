// Command gateway is ringback's main job in one process: customers register
// callback URLs through three registration dialects, applications publish
// events, the engine posts them until they are accepted, and Tencent Chat
// callbacks are received and verified.
//
//	go run ./examples/gateway                 # a demo that needs nothing
//	go run ./examples/gateway -config FILE    # the service
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	_ "modernc.org/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(exitStatus(err)) //nolint:gocritic // stop has run
	}
}

// exitStatus is 2 for what the caller must mend in flags or configuration.
func exitStatus(err error) int {
	if errors.Is(err, errConfig) || errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "run the service that `FILE` configures, instead of the demo")
	check := flags.Bool("check-config", false, "with -config: only say whether the file is good")
	demoFor := flags.Duration("demo-for", 0, "end the demo after `DURATION`; the status tells whether all was delivered")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	case *check && *file == "":
		return fmt.Errorf("%w: -check-config needs -config", errUsage)
	case *demoFor != 0 && *file != "":
		return fmt.Errorf("%w: -demo-for is for the demo, without -config", errUsage)
	case *demoFor < 0:
		return fmt.Errorf("%w: -demo-for takes a duration above 0", errUsage)
	case *file == "":
		return demo(ctx, *demoFor, stdout, stderr)
	}
	cfg, err := readConfig(*file)
	if err != nil || *check {
		return err
	}
	g, err := open(ctx, cfg, options{logs: stderr})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil //nolint:nilerr // ended before it began
	}
	if err != nil {
		return err
	}
	return errors.Join(g.serve(ctx, func(addr string) { fmt.Fprintf(stdout, "listening http://%s\n", addr) }), g.close())
}
