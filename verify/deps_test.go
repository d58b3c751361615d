package verify_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies: this package is the standard library and our internals,
// nothing else.
func TestDependencies(t *testing.T) {
	t.Parallel()
	const module = "github.com/ringback-go/ringback"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+"/verify").Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Fields(string(out))
	if len(paths) == 0 {
		t.Fatal("go list names not even the package itself")
	}
	for _, path := range paths {
		if path != module+"/verify" && !strings.HasPrefix(path, module+"/internal/") && !strings.HasPrefix(path, module+"/verify/internal/") {
			t.Errorf("verify depends on %s", path)
		}
	}
}
