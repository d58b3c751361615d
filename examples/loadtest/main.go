// Command loadtest measures ringback on the machine at hand, next to a bare
// loop that posts the same body to the same receiver with net/http alone. The
// receiver is a process of its own.
//
//	go run ./examples/loadtest
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"

	_ "modernc.org/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// settings are the flags.
type settings struct {
	rows      []string
	events    int
	rounds    int
	endpoints int
	json      bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if os.Getenv(receiverEnv) != "" {
		return receive(ctx, os.Stdin, stdout)
	}
	var s settings
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rows := flags.String("rows", strings.Join(rowNames(), ","), "`LIST` of rows to measure")
	flags.IntVar(&s.events, "events", 30_000, "events per engine and round")
	flags.IntVar(&s.rounds, "rounds", 3, "rounds; in each the bare loop and every row take their turn")
	flags.IntVar(&s.endpoints, "endpoints", 20, "endpoints that share the events")
	flags.BoolVar(&s.json, "json", false, "print JSON instead of the table")
	profile := flags.String("cpuprofile", "", "write a profile of all that is measured to `FILE`")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if s.events < 1 || s.rounds < 1 || s.endpoints < 1 {
		return errors.New("loadtest: -events, -rounds and -endpoints take numbers above 0")
	}
	for name := range strings.SplitSeq(*rows, ",") {
		if !slices.Contains(rowNames(), name) {
			return fmt.Errorf("loadtest: -rows takes a list of %v, not %q", rowNames(), name)
		}
		s.rows = append(s.rows, name)
	}
	rc, err := startReceiver(ctx, stderr)
	if err != nil {
		return err
	}
	defer rc.close()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results, err := measure(ctx, s, rc, stderr)
	if err != nil {
		return err
	}
	if s.json {
		err = printJSON(stdout, results)
	} else {
		err = printTable(stdout, results)
	}
	return errors.Join(err, complaint(results))
}
