package ids_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/internal/ids"
)

func TestNewSortsByTime(t *testing.T) {
	t.Parallel()
	made := make([]string, 1000)
	for i := range made {
		made[i] = ids.New("msg")
	}
	if !slices.IsSorted(made) {
		t.Error("ids made one after another do not sort")
	}
	if n := len(slices.Compact(made)); n != 1000 {
		t.Errorf("%d of 1000 ids are distinct", n)
	}
	for _, id := range made {
		if len(id) != 4+26 || !strings.HasPrefix(id, "msg_") || strings.Contains(id, ".") {
			t.Fatalf("id %q", id)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	if got := ids.Format("x", [16]byte{}); got != "x_00000000000000000000000000" {
		t.Errorf("zero is %q", got)
	}
	if got := ids.Format("x", [16]byte{0xff, 0xff}); got[:5] != "x_zzz" {
		t.Errorf("high bits are %q", got)
	}
}
