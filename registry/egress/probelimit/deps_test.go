package probelimit_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The package is egress and x/time/rate.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if strings.Contains(path, ".") && path != "golang.org/x/time/rate" && path != "github.com/ringback-go/ringback/registry/egress" {
			t.Errorf("imports %s", path)
		}
	}
}
