package sqlitestore_test

import (
	"path/filepath"
	"testing"
)

// What is fetched comes in the order in which it was asked for.
func TestFetch(t *testing.T) {
	t.Parallel()
	s := fillPaused(t, filepath.Join(t.TempDir(), "store.db"), 3, 10)
	found, err := s.Fetch(t.Context(), 3, 99, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 || found[0] == nil || found[0].ID != "e2" || len(found[0].Body) != 10 || found[1] != nil || found[2] == nil || found[2].ID != "e0" {
		t.Errorf("fetched %+v", found)
	}
}
