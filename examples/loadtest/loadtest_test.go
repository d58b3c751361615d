package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	main "github.com/ringback-go/ringback/examples/loadtest"
	"github.com/ringback-go/ringback/internal/race"
)

// TestMain lets the program's children be children: they are this binary, too.
func TestMain(m *testing.M) {
	if os.Getenv(main.RoleEnv) == "" {
		// Under the race detector each of them would sleep a second at its end.
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	if err := main.Run(context.Background(), os.Args[:1], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const everyRow = "memory,sqlite,postgres,postgres2,enqueue,backlog,fairness,fairness20,latency"

func loadtest(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	err = main.Run(t.Context(), append([]string{"loadtest"}, args...), strings.NewReader(""), &out, &log)
	return out.String(), log.String(), err
}

func TestEveryRow(t *testing.T) { //nolint:paralleltest // it measures
	events := "300"
	if race.Enabled {
		events = "60" // each costs ten times as much
	}
	stdout, stderr, err := loadtest(t, "-rows", everyRow, "-events", events, "-rounds", "1", "-endpoints", "3", "-json")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var got struct {
		Machine map[string]any   `json:"machine"`
		Rows    []map[string]any `json:"rows"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if got.Machine["os"] == nil {
		t.Error("the machine is not named")
	}
	// Each field is a number above 0, but for those that count what went wrong.
	common := []string{"endpoints", "rate", "bare", "ratio", "min", "max", "cpu_s_per_1000", "cpu_ratio", "rss_mib"}
	more := map[string][]string{
		"enqueue":    {"p99_ms", "fsync_rate"},
		"backlog":    {"waiting", "lease_dead", "lease_spread", "lease_future", "rate_ratio", "start_s"},
		"fairness":   {"p95_ratio", "hung_sockets"},
		"fairness20": {"p95_ratio", "hung_sockets"},
		"latency":    {"p50_50", "p95_50", "p50_200", "p95_200"},
	}
	var names []string
	for _, row := range got.Rows {
		name, _ := row["name"].(string)
		names = append(names, name)
		for _, field := range slices.Concat(common, more[name]) {
			if v, ok := row[field].(float64); !ok || v <= 0 && measured(field) {
				t.Errorf("row %s: %s is %v, want a number above 0", name, field, row[field])
			}
		}
		if row["lost"] != 0.0 || row["duplicates"] != 0.0 {
			t.Errorf("row %s: lost %v and repeated %v, want 0", name, row["lost"], row["duplicates"])
		}
	}
	if list := strings.Join(names, ","); list != everyRow {
		t.Errorf("rows %s, want %s", list, everyRow)
	}
}

// measured reports whether this system has figures for a field.
func measured(field string) bool {
	_, err := os.Stat("/proc/self/status")
	return err == nil || field != "rss_mib" && !strings.HasPrefix(field, "cpu_")
}

func TestTableAndProfile(t *testing.T) { //nolint:paralleltest // it measures
	profile := filepath.Join(t.TempDir(), "cpu")
	stdout, stderr, err := loadtest(t, "-rows", "enqueue", "-events", "100", "-rounds", "2", "-cpuprofile", profile)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{"bare loop/s", "enqueue, also:", "p99_ms", "enqueue's ratio:"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "round 2 of 2") {
		t.Errorf("no second round in the progress:\n%s", stderr)
	}
	if b, err := os.ReadFile(profile); err != nil || !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		t.Errorf("the profile is no gzip of something (%v)", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a store of a later version", []string{"-rows", "sqlite,jetstream1"}, "not in this version"},
		{"an unknown store", []string{"-on", "memory"}, "takes sqlite or postgres"},
		{"a stream", []string{"-rows", "jetstream3"}, "not in this version"},
		{"a server of a later version", []string{"-nats", "localhost"}, "not in this version"},
		{"an unknown row", []string{"-rows", "redis"}, "takes a list of"},
		{"no row", []string{"-rows", ""}, "takes a list of"},
		{"no events", []string{"-events", "0"}, "above 0"},
		{"no rounds", []string{"-rounds", "-1"}, "above 0"},
		{"an argument", []string{"sqlite"}, "flags only"},
		{"an unknown flag", []string{"-quick"}, "not defined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stdout, _, err := loadtest(t, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if stdout != "" {
				t.Errorf("printed %q", stdout)
			}
		})
	}
}

func TestLossIsAnError(t *testing.T) {
	t.Parallel()
	err := main.Complaint("sqlite", 3)
	if err == nil || !strings.Contains(err.Error(), "row sqlite lost 3") {
		t.Errorf("3 lost: error %v", err)
	}
	if err := main.Complaint("sqlite", 0); err != nil {
		t.Errorf("none lost: error %v", err)
	}
}
