package egress_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The package is the standard library and the list of special-purpose addresses, nothing else.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{
		"code.dny.dev/ssrf": true, "github.com/ringback-go/ringback/registry/egress": true, "github.com/ringback-go/ringback/internal/version": true,
		"github.com/ringback-go/ringback/registry/internal/keypair": true, "github.com/ringback-go/ringback/registry/egress/internal/http1": true,
		"github.com/ringback-go/ringback/internal/consent": true,
	}
	found := strings.Fields(string(out))
	if len(found) != len(allowed) {
		t.Errorf("depends on %q", found)
	}
	for _, path := range found {
		if !allowed[path] {
			t.Errorf("depends on %s", path)
		}
	}
}
