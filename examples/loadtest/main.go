// Command loadtest measures ringback on the machine at hand, next to a bare
// loop that posts the same body to the same receiver with net/http alone. The
// receiver is a process of its own, and so is every run of the bare loop and of
// an engine: the memory and the processor time of each are its own.
//
//	go run ./examples/loadtest
//
// The row backlog needs 3 GB in the folder for temporary files, which is also
// where the SQLite files of the other rows are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "modernc.org/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// settings are the flags.
type settings struct {
	rows      []row
	events    int
	rounds    int
	endpoints int
	cold      bool
	json      bool
	profile   string
	postgres  string
	on        string // the store of the rows that are not named for theirs
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	switch os.Getenv(roleEnv) {
	case receiverRole:
		return receive(ctx, stdin, stdout)
	case partRole:
		return playPart(ctx, stdin, stdout)
	}
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	results, err := measure(ctx, s, stderr)
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

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rows := flags.String("rows", "memory,sqlite,enqueue,backlog,fairness,latency", "`LIST` of rows to measure, of "+strings.Join(rowNames(), ", "))
	flags.IntVar(&s.events, "events", 30_000, "events per engine and round")
	flags.IntVar(&s.rounds, "rounds", 3, "rounds; in each every row takes its turn, between two runs of the bare loop")
	flags.IntVar(&s.endpoints, "endpoints", 20, "endpoints that share the events; fairness takes 20 always")
	flags.BoolVar(&s.cold, "cold", false, "measure from an engine's first event on; without, each endpoint has had one before, and what is measured is the rate that lasts")
	flags.BoolVar(&s.json, "json", false, "print JSON instead of the table")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a profile of the engine's process in the last round to `FILE`; of several rows, to FILE with a dot and the row's name behind it")
	flags.StringVar(&s.on, "on", "sqlite", "`STORE` of enqueue, backlog, fairness and latency: sqlite or postgres")
	later := func(string) error { return errLater }
	flags.StringVar(&s.postgres, "postgres", "", "`URL` of a PostgreSQL server for its rows; without, one is started from the binaries on this machine")
	flags.Func("nats", "`URL` of a server; "+errLater.Error(), later)
	if err := flags.Parse(args[1:]); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("loadtest: takes flags only, not %q", flags.Arg(0))
	}
	if s.events < 1 || s.rounds < 1 || s.endpoints < 1 {
		return s, errors.New("loadtest: -events, -rounds and -endpoints take numbers above 0")
	}
	if s.on != "sqlite" && s.on != "postgres" {
		return s, fmt.Errorf("loadtest: -on takes sqlite or postgres, not %q", s.on)
	}
	s.rows, err = rowsOf(*rows)
	return s, err
}
