package middleware_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed are the modules behind this package: validator and what it pulls
// in, x/time, ttlcache and its x/sync.
var allowed = []string{
	"github.com/ringback-go/ringback/verify",
	"github.com/ringback-go/ringback/internal",
	"github.com/go-playground/validator/v10",
	"github.com/go-playground/locales",
	"github.com/go-playground/universal-translator",
	"github.com/gabriel-vasile/mimetype",
	"github.com/leodido/go-urn",
	"golang.org/x/crypto/sha3",
	"golang.org/x/sys/cpu",
	"golang.org/x/text",
	"golang.org/x/time/rate",
	"github.com/jellydator/ttlcache/v3",
	"golang.org/x/sync/singleflight",
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	const self = "github.com/ringback-go/ringback/middleware"
	for _, name := range []string{self, self + "/sqldedup", self + "/pglimit"} { // no driver behind any
		own := append([]string{name}, allowed...)
		if name != self {
			own = append(own, self)
		}
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		paths := strings.Fields(string(out))
		if !slices.Contains(paths, name) {
			t.Fatal("go list names not even the package itself")
		}
		for _, path := range paths {
			if path != name && !slices.ContainsFunc(own, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") }) {
				t.Errorf("%s depends on %s", name, path)
			}
		}
	}
}
