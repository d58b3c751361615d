package keys_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/race"
	"github.com/ringback-go/ringback/verify/internal/keys"
)

func TestWeakEd25519(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, point string }{
		{"order 1", "0100000000000000000000000000000000000000000000000000000000000000"},
		{"order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
		{"order 4", "0000000000000000000000000000000000000000000000000000000000000000"},
		{"order 4, sign", "0000000000000000000000000000000000000000000000000000000000000080"},
		{"order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"},
		{"order 8, sign", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"},
		{"above the prime", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
		{"short", "0102"},
	} {
		b, err := hex.DecodeString(tt.point)
		if err != nil {
			t.Fatal(err)
		}
		if !keys.WeakEd25519(b) {
			t.Errorf("%s is taken for a key", tt.name)
		}
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil || keys.WeakEd25519(public) {
		t.Errorf("a fresh key is refused, %v", err)
	}
}

func TestNotSecret(t *testing.T) {
	t.Parallel()
	for text, refused := range map[string]bool{
		"s": false, "two words": false, "\xff\x00\n": false, "whsec_abc": false,
		"s\n": true, "s\r\n": true, "\n": true, "whpk_x": true, "whsk_x": true, "-----BEGIN EC PRIVATE KEY-----": true,
	} {
		if why := keys.NotSecret([]byte(text)); (why != "") != refused {
			t.Errorf("%q: %q", text, why)
		}
	}
}

func TestValidAndAge(t *testing.T) {
	t.Parallel()
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	var none time.Time
	for _, tt := range []struct {
		at, from, to time.Time
		want         bool
	}{
		{at(5), none, none, true},
		{at(5), at(5), at(5), true},
		{at(4), at(5), none, false},
		{at(6), none, at(5), false},
	} {
		if got := keys.Valid(tt.at, tt.from, tt.to); got != tt.want {
			t.Errorf("Valid(%v, %v, %v) = %v", tt.at.Unix(), tt.from, tt.to, got)
		}
	}
	if !keys.BadSpan(at(2), at(1)) || keys.BadSpan(at(1), at(1)) || keys.BadSpan(none, at(1)) || keys.BadSpan(at(1), none) {
		t.Error("BadSpan is wrong")
	}
	for after, want := range map[time.Duration]int{0: 0, 9: 0, -9: 0, 10: 1, -10: -1, 1<<63 - 1: 1} {
		if got := keys.Age(at(5), at(5).Add(after), 9); got != want {
			t.Errorf("Age after %d = %d, want %d", after, got, want)
		}
	}
	if keys.Age(at(-1<<62), at(1<<62), 9) != 1 || keys.Age(at(1<<62), at(-1<<62), 9) != -1 {
		t.Error("A-SIG-12: the difference wraps around")
	}
}

// TestMACs shares one pool between goroutines.
func TestMACs(t *testing.T) {
	t.Parallel()
	p := keys.NewMACs([]byte("k"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				head, body := strings.Repeat(fmt.Sprint(i), j*100), []byte(fmt.Sprint(j))
				st := p.Start()
				st.Text(head)
				st.Bytes(body)
				st.Text("end")
				got := p.Finish(st)
				mac := hmac.New(sha256.New, []byte("k"))
				mac.Write([]byte(head + string(body) + "end"))
				if !hmac.Equal(mac.Sum(nil), got[:]) {
					t.Error("wrong sum")
				}
			}
		})
	}
	wg.Wait()
}

// A key that is used now and then has its state ready, whatever was collected
// in between.
func TestMACsOutliveCollections(t *testing.T) { // not parallel: AllocsPerRun counts for the process
	many := make([]*keys.MACs, 100)
	for i := range many {
		many[i] = keys.NewMACs(fmt.Append(nil, "key ", i))
	}
	use := func() {
		runtime.GC()
		runtime.GC()
		for _, m := range many {
			m.Finish(m.Start())
		}
	}
	use() // a state remembers its beginning when it is used again
	most := 1
	if race.Enabled { // which empties the pool of rooms at random
		most = 3
	}
	if n := testing.AllocsPerRun(1, use); n >= float64(most*len(many)) {
		t.Errorf("%v allocations for %d keys, want those of a room or two", n, len(many))
	}
}
