package otelx_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is OpenTelemetry's API, otelhttp, and what they pull in.
var allowed = []string{
	"go.opentelemetry.io/otel",
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
	"go.opentelemetry.io/auto/sdk", // of otel/trace, for eBPF instrumentation
	"github.com/felixge/httpsnoop",
	"github.com/go-logr/logr",
	"github.com/go-logr/stdr",
	"github.com/cespare/xxhash/v2",
}

const module = "github.com/ringback-go/ringback/"

func deps(t *testing.T, packages ...string) []string {
	t.Helper()
	args := append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func TestDependencies(t *testing.T) {
	t.Parallel()
	core := deps(t, module+"middleware", module+"delivery")
	all := deps(t, module+"otelx")
	if !slices.Contains(all, "go.opentelemetry.io/otel/trace") || !slices.Contains(core, module+"delivery") {
		t.Fatal("go list names not even the direct imports")
	}
	for _, path := range core {
		if under(path, "go.opentelemetry.io") {
			t.Errorf("the core depends on %s", path)
		}
	}
	for _, path := range all {
		known := path == module+"otelx" || slices.Contains(core, path) ||
			slices.ContainsFunc(allowed, func(root string) bool { return under(path, root) })
		if !known || under(path, "go.opentelemetry.io/otel/sdk") || under(path, "go.opentelemetry.io/otel/exporters") {
			t.Errorf("otelx depends on %s", path)
		}
	}
}
