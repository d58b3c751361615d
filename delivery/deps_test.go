package delivery_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDeps keeps the engine and its stores to the standard library, three small
// modules and this one: no SQL driver, no OpenTelemetry.
func TestDeps(t *testing.T) {
	t.Parallel()
	const module = "github.com/ringback-go/ringback/"
	packages := []string{".", "./lanes", "./memstore", "./sqlitestore"}
	args := append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.Fields(string(out))
	if len(seen) < len(packages) {
		t.Fatalf("go list printed %q", out)
	}
	for _, path := range seen {
		switch path {
		case "github.com/cenkalti/backoff/v4", "github.com/google/uuid", "code.dny.dev/ssrf",
			module + "delivery", module + "delivery/lanes", module + "delivery/memstore", module + "delivery/sqlitestore",
			module + "registry", module + "registry/egress", module + "registry/internal/keypair", module + "registry/egress/internal/http1",
			module + "internal/ids", module + "internal/consent", module + "delivery/internal/rowcodec", module + "delivery/internal/retain", module + "internal/version":
		default:
			t.Errorf("depends on %s", path)
		}
	}
}
