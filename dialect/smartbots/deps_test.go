package smartbots_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies: the dialects stand on the core and what the core needs,
// and know nothing of each other.
func TestDependencies(t *testing.T) {
	t.Parallel()
	const module = "github.com/ringback-go/ringback/"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}",
		module+"dialect/smartbots", module+"dialect/standardwebhooks").Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Fields(string(out))
	if !slices.Contains(paths, module+"delivery") {
		t.Fatal("go list names not even the core")
	}
	for _, path := range paths {
		rest, ours := strings.CutPrefix(path, module)
		switch {
		case ours && (rest == "dialect/smartbots" || rest == "dialect/standardwebhooks"):
		case ours && (strings.HasPrefix(rest, "dialect/") || strings.HasPrefix(rest, "otelx") || strings.HasPrefix(rest, "delivery/")),
			strings.HasPrefix(path, "go.opentelemetry.io/"), strings.HasPrefix(path, "modernc.org/"), strings.HasPrefix(path, "github.com/jackc/"), strings.HasPrefix(path, "github.com/nats-io/"):
			t.Errorf("the dialects depend on %s", path)
		}
	}
	direct, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{join .Imports \"\\n\"}}", module+"dialect/smartbots", module+"dialect/standardwebhooks").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(direct), module+"dialect/") {
		t.Errorf("a dialect imports another: %s", direct)
	}
}
