package verify_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// must is for constructors in tests that are about something else.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func key(id, secret string) verify.Key { return verify.Key{ID: id, Secret: []byte(secret)} }

// wantError checks the class and that the error is the package's own.
func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	if _, ok := errors.AsType[*verify.Error](err); want != nil && !ok {
		t.Errorf("error %v is not a *verify.Error", err)
	}
}

// vectors returns the path of a sample file that lies beside the repository.
func vectors(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "..", "shared", "vectors", filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("the sample packets are not beside the repository: %s", name)
	}
	t.Skipf("the sample packets are not beside the repository, nothing to compare with: %s", name)
	return ""
}

func unix(sec int64) time.Time { return time.Unix(sec, 0) }
