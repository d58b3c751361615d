package main_test

import (
	"database/sql"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sealedBy gives the configuration a secret_key.
func sealedBy(letter string) func(settings) {
	return func(s settings) {
		s["secret_key"] = base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))
	}
}

// refusedKey starts a gateway that must end at once and name the key.
func refusedKey(t *testing.T, dir string) {
	t.Helper()
	p := launch(t, dir)
	if status := p.wait(t); status != 2 {
		t.Errorf("exit status %d, want 2", status)
	}
	said := p.stderr.String()
	if strings.Count(said, "\n") != 1 || !strings.Contains(said, "secret_key: takes the key that the store's secrets are sealed with") {
		t.Errorf("standard error: %s", said)
	}
	if out := p.stdout.String(); out != "" {
		t.Errorf("standard output: %s", out)
	}
}

func (p *process) subscriptionIDs(t *testing.T) (ids []string) {
	t.Helper()
	for _, s := range p.subscriptions(t) {
		ids = append(ids, s.ID)
	}
	return ids
}

// forgetCheck makes the store one of a gateway that kept no check value.
func forgetCheck(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "callbacks.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `DROP TABLE gateway_key`); err != nil {
		t.Fatal(err)
	}
}

// Another key changes nothing that is stored, and looks like no change of a code.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	const keyFile = "callbacks.db.key"
	aside := func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Rename(filepath.Join(dir, keyFile), filepath.Join(dir, "aside")); err != nil {
			t.Fatal(err)
		}
	}
	back := func(t *testing.T, dir string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, keyFile)); err == nil {
			t.Error("a key file was made beside a store of another key")
		}
		if err := os.Rename(filepath.Join(dir, "aside"), filepath.Join(dir, keyFile)); err != nil {
			t.Fatal(err)
		}
	}
	rekey := func(edits ...func(settings)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			configure(t, dir, edits...)
		}
	}
	tests := []struct {
		name         string
		edits        []func(settings)
		standard     bool // a registration whose secret is sealed is there, too
		older        bool // the store is of a gateway that kept no check value
		wrong, right func(*testing.T, string)
	}{
		{"another key", []func(settings){sealedBy("k")}, false, false, rekey(sealedBy("x")), rekey(sealedBy("k"))},
		{"another key, sealed secrets", []func(settings){sealedBy("k")}, true, false, rekey(sealedBy("x")), rekey(sealedBy("k"))},
		{"another key and code", []func(settings){sealedBy("k")}, true, false, rekey(sealedBy("x"), teaFile(fileCode2)), rekey(sealedBy("k"))},
		{"older store, another key", []func(settings){sealedBy("k")}, false, true, rekey(sealedBy("x")), rekey(sealedBy("k"))},
		{"older store, another key, sealed secrets", []func(settings){sealedBy("k")}, true, true, rekey(sealedBy("x")), rekey(sealedBy("k"))},
		{"key file gone", nil, false, false, aside, back},
		{"older store, key file gone", nil, true, true, aside, back},
		{"the configuration's instead of the file's", nil, false, false, rekey(sealedBy("x")), rekey()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, nil)
			p := serve(t, tt.edits...)
			p.changeCode(t, "tea-club", newCode)
			p.bots(t, botsForm(rc.url, "secret", newCode), teaOK)
			if tt.standard {
				p.subscribe(t, "t1", rc.url, "a")
			}
			rc.wait(t, 1)
			eventually(t, "callback_set settled", func() bool { return p.stats(t).Pending == 0 })
			had := p.subscriptionIDs(t)
			p.stop(t)
			if tt.older {
				forgetCheck(t, p.dir)
			}
			tt.wrong(t, p.dir)
			refusedKey(t, p.dir)
			refusedKey(t, p.dir)
			tt.right(t, p.dir)

			p = start(t, p.dir)
			p.secrets.addCode(newCode)
			if have := p.subscriptionIDs(t); !slices.Equal(have, had) {
				t.Errorf("registrations %q, they were %q", have, had)
			}
			p.bots(t, botsForm(rc.url), failed("ACCESS DENIED")) // the code set through /admin still wins
			p.publish(t, chat("tea-club", "still here"))
			if got := actions(t, rc.only(t, 2)); got[1] != "group_chat still here" {
				t.Errorf("after the right key came back: %q", got)
			}
		})
	}
}

// A file's key that nobody can read is named, and not replaced.
func TestBrokenKeyFile(t *testing.T) {
	t.Parallel()
	dir := configure(t, t.TempDir())
	file := filepath.Join(dir, "callbacks.db.key")
	if err := os.WriteFile(file, []byte("AAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, dir)
	if status := p.wait(t); status != 2 || !strings.Contains(p.stderr.String(), "secret_key: takes 32 bytes in base64") {
		t.Errorf("exit status %d: %s", status, p.stderr)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "AAAA" {
		t.Errorf("the key file holds %q (%v)", b, err)
	}
}

// A second gateway with another key does nothing to the one that serves.
func TestWrongKeyOnSharedDatabase(t *testing.T) {
	t.Parallel()
	edit := onPostgres(t)
	p := serve(t, edit)
	rc := receive(t, nil)
	p.bots(t, botsForm(rc.url), teaOK)
	rc.wait(t, 1)
	had := p.subscriptionIDs(t)
	refusedKey(t, configure(t, t.TempDir(), edit, sealedBy("x")))
	if have := p.subscriptionIDs(t); !slices.Equal(have, had) {
		t.Errorf("registrations %q, they were %q", have, had)
	}
	p.publish(t, chat("tea-club", "still here"))
	if got := actions(t, rc.only(t, 2)); got[1] != "group_chat still here" {
		t.Errorf("after the other's start came %q", got)
	}
}
