// Command wrap shows how a handler that was there before gains verification and
// limits: three lines, in protected. A fourth gives it telemetry: spans, and
// metrics of what is refused and why, go where OpenTelemetry's globals of the
// application lead. It sets none here, so that the line costs nothing.
//
//	WEBHOOK_SECRET=whsec_… go run ./examples/wrap -listen 127.0.0.1:8080
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/verify"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args, os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// existing is the handler that was there before.
func existing(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "got %d bytes\n", len(body))
}

// protected lets callbacks through to next that are signed by a key and come at
// a rate that is bearable.
func protected(next http.Handler, key string) (http.Handler, error) {
	signed, err := verify.NewStandard(0, verify.Key{Secret: []byte(key)})
	if err != nil {
		return nil, err
	}
	limit := middleware.RateLimit{Key: middleware.ByPeer, Requests: 600, Per: time.Minute}
	return middleware.Chain(
		otelx.Middleware(), // telemetry
		limit.Handler,
		middleware.Body{}.Handler,
		middleware.Signature{Verifier: signed}.Handler,
	)(next), nil
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("wrap", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8080", "`ADDRESS` to listen on")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	hooks, err := protected(http.HandlerFunc(existing), getenv("WEBHOOK_SECRET"))
	if err != nil {
		return fmt.Errorf("WEBHOOK_SECRET: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks", hooks)
	return serve(ctx, *listen, mux, stdout)
}

// serve answers until ctx ends.
func serve(ctx context.Context, addr string, h http.Handler, stdout io.Writer) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	fmt.Fprintf(stdout, "listening http://%s\n", ln.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = server.Shutdown(stopping)
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
