package probelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry/egress/probelimit"
)

// A-FLOOD-01 for probes: keys are bounded, nobody pushes out an empty bucket, and a full table lets not
// all pass.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	b, now := probelimit.NewBuckets(2), time.Unix(1e9, 0)
	for range 2 {
		if !b.Take("mine", now) {
			t.Fatal("no token at first")
		}
	}
	passed := 0
	for i := range 10 * probelimit.MaxKeys {
		if b.Take(fmt.Sprint("k", i), now) {
			passed++
		}
	}
	if b.Len() != probelimit.MaxKeys || passed != probelimit.MaxKeys-1+2 {
		t.Errorf("%d keys, %d passed; want one for each key that fits, and the shared bucket's two", b.Len(), passed)
	}
	if b.Take("mine", now) {
		t.Error("the own bucket was pushed out")
	}
	// A minute later all are full again, and make room.
	now = now.Add(time.Minute)
	if !b.Take("new", now) || b.Len() != 1 {
		t.Errorf("%d keys", b.Len())
	}
}

// A full table is looked through once in a second at most, whatever is asked.
func TestBucketsAreSweptSeldom(t *testing.T) {
	t.Parallel()
	b, now := probelimit.NewBuckets(6000), time.Unix(1e9, 0) // full again in 10 ms
	for i := range probelimit.MaxKeys + 1 {
		b.Take(fmt.Sprint("k", i), now)
	}
	for _, tt := range []struct {
		after time.Duration
		keys  int
	}{{500 * time.Millisecond, probelimit.MaxKeys}, {time.Second, 1}} {
		if !b.Take("new", now.Add(tt.after)) || b.Len() != tt.keys {
			t.Errorf("%d keys after %s, want %d", b.Len(), tt.after, tt.keys)
		}
	}
}

func TestBucketsRefill(t *testing.T) {
	t.Parallel()
	b, now := probelimit.NewBuckets(60), time.Unix(1e9, 0)
	for range 60 {
		if !b.Take("a", now) {
			t.Fatal("no token")
		}
	}
	for i := range 5 {
		if b.Take("a", now.Add(999*time.Millisecond)) {
			t.Fatalf("second %d: too early", i)
		}
		if now = now.Add(time.Second); !b.Take("a", now) {
			t.Fatalf("second %d: no token", i)
		}
	}
	if off := probelimit.NewBuckets(0); !off.Take("a", now) || off.Len() != 0 {
		t.Error("no limit is no bucket")
	}
}
