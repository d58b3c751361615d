package registry_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDeps keeps the package to the standard library, google/uuid and this
// module, and so without a SQL driver.
func TestDeps(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}",
		".", "./registrytest", "./sqlregistry").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.Fields(string(out))
	if len(seen) < 3 {
		t.Fatalf("go list printed %q", out)
	}
	for _, path := range seen {
		switch path {
		case "github.com/google/uuid",
			"github.com/ringback-go/ringback/internal/ids",
			"github.com/ringback-go/ringback/internal/sqlitewait",
			"github.com/ringback-go/ringback/registry",
			"github.com/ringback-go/ringback/registry/internal/keypair",
			"github.com/ringback-go/ringback/registry/internal/keypairtest",
			"github.com/ringback-go/ringback/registry/registrytest",
			"github.com/ringback-go/ringback/registry/sqlregistry":
		default:
			t.Errorf("depends on %s", path)
		}
	}
}
