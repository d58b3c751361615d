package tencentchat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
)

// object decodes JSON without losing digits.
func object(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return m
}

// again sends a packet through the sending side: what was received is published
// and encoded. EventTime becomes a number, and is added where it was not there.
func again(t *testing.T, ev tencentchat.Event) []byte {
	t.Helper()
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(ev.Body, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "CallbackCommand")
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tencentchat.Dialect{}.Encode(delivery.Event{
		Dialect: tencentchat.Name, Tenant: appID, Type: ev.Command, Data: data, At: documented,
	}, registry.Subscription{Tenant: appID})
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return p.Body
}

// TestCaptured decodes the captured packets and encodes them again.
func TestCaptured(t *testing.T) {
	t.Parallel()
	vector(t, "tencent/sign.json") // skips where there are none
	files, err := filepath.Glob(filepath.Join(vectorDir(t), "tencent", "captured", "*.json"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var sample struct {
				Query map[string]string `json:"query"`
				Body  json.RawMessage   `json:"body"`
				Raw   string            `json:"body_raw_as_published"`
			}
			if err := json.Unmarshal(raw, &sample); err != nil {
				t.Fatal(err)
			}
			command, _ := object(t, sample.Body)["CallbackCommand"].(string)
			q := url.Values{"CallbackCommand": {command}, "SdkAppid": {appID}}
			for k, v := range sample.Query {
				q.Set(k, v)
			}
			for _, body := range []string{string(sample.Body), sample.Raw} {
				ev, err := tencentchat.Decode(q.Encode(), []byte(body))
				if err != nil {
					t.Fatal(err)
				}
				if ev.Command != command || ev.SDKAppID != appID || ev.ClientIP != sample.Query["ClientIP"] ||
					string(ev.Platform) != sample.Query["OptPlatform"] || string(ev.Body) != body {
					t.Errorf("%+v", ev)
				}
				want := object(t, sample.Body)
				if ms, ok := want["EventTime"].(json.Number); ok {
					if n, err := ms.Int64(); err != nil || ev.EventTime.UnixMilli() != n {
						t.Errorf("EventTime %v, want %s", ev.EventTime, ms)
					}
				} else {
					want["EventTime"] = json.Number("1669872112000")
				}
				if tencentchat.IsBefore(command) {
					continue // never sent
				}
				if diff := cmp.Diff(want, object(t, again(t, ev))); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// TestDocumented decodes every sample of the documentation.
func TestDocumented(t *testing.T) {
	t.Parallel()
	vector(t, "tencent/sign.json")
	files, err := filepath.Glob(filepath.Join(vectorDir(t), "tencent", "docs", "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var whole struct { // the overview's sample is a whole request
			Request struct {
				Body json.RawMessage `json:"body"`
			} `json:"request"`
		}
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		if whole.Request.Body != nil {
			raw = whole.Request.Body
		}
		command, _ := object(t, raw)["CallbackCommand"].(string)
		ev, err := tencentchat.Decode(query(command), raw)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if reply, err := tencentchat.AllowAll(t.Context(), ev); err != nil {
			t.Errorf("%s: %v %v", filepath.Base(file), reply, err)
		}
	}
}

func vectorDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		for _, at := range []string{"../shared/vectors", "shared/vectors"} {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(at), "tencent")); err == nil {
				return filepath.Join(dir, filepath.FromSlash(at))
			}
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no sample packets, although one was read")
		}
	}
}

// TestQuirks: samples with comments and missing commas are no JSON.
func TestQuirks(t *testing.T) {
	t.Parallel()
	var quirks struct {
		Cases []struct {
			Name   string `json:"name"`
			Input  string `json:"input"`
			Strict bool   `json:"strict_json"`
			Time   *int64 `json:"event_time_ms"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(vector(t, "tencent/quirks.json"), &quirks); err != nil {
		t.Fatal(err)
	}
	if len(quirks.Cases) == 0 {
		t.Fatal("no cases")
	}
	const command = "Group.CallbackOnMemberStateChange"
	for _, c := range quirks.Cases {
		body := c.Input
		if !strings.Contains(body, "CallbackCommand") {
			body = `{"CallbackCommand":"` + command + `",` + strings.TrimPrefix(body, "{")
		}
		ev, err := tencentchat.Decode(query(command), []byte(body))
		if (err == nil) != c.Strict {
			t.Errorf("%s: %v", c.Name, err)
		}
		if err == nil && c.Time != nil && ev.EventTime.UnixMilli() != *c.Time {
			t.Errorf("%s: EventTime %v", c.Name, ev.EventTime)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const command = "Group.CallbackAfterSendMsg"
	own := `{"CallbackCommand":"` + command + `"`
	tests := []struct {
		name, query, body string
		ok                bool
	}{
		{"good", query(command), own + `,"MsgSeq":4294967295,"MsgRandom":0,"Random":null,"EventTime":null,"GroupId":null}`, true},
		{"white space", query(command), " \n" + own + "} \t", true},
		{"unknown command with odd members", query("X"), `{"CallbackCommand":"X","GroupId":5,"Type":[]}`, true},
		{"escaped command", query(command), `{"CallbackCommand":"Group.CallbackAfterSend\u004dsg"}`, true},
		{"escaped backslash before u0000", query(command), own + `,"x":"\\u0000"}`, true},
		{"end of time", query(command), own + `,"EventTime":253402300799999}`, true},

		{"no command in the query", "SdkAppid=1", own + `}`, false},
		{"command twice", query(command) + "&CallbackCommand=" + command, own + `}`, false},
		{"ClientIP twice", query(command) + "&ClientIP=", own + `}`, false},
		{"OptPlatform twice", query(command) + "&Opt%50latform=x", own + `}`, false},
		{"broken query", query(command) + "&x=%zz", own + `}`, false},
		{"semicolon", query(command) + ";x", own + `}`, false},
		{"name in other letters", query(command), `{"callbackcommand":"` + command + `"}`, false},
		{"command is a number", query(command), `{"CallbackCommand":1}`, false},
		{"command is null", query(command), `{"CallbackCommand":null}`, false},
		{"number overflows", query(command), own + `,"MsgSeq":4294967296}`, false},
		{"negative", query(command), own + `,"MsgRandom":-1}`, false},
		{"fraction", query(command), own + `,"Random":1.0}`, false},
		{"exponent", query(command), own + `,"Random":1e3}`, false},
		{"quoted", query(command), own + `,"MsgSeq":"1"}`, false},
		{"unknown command, number out of range", query("X"), `{"CallbackCommand":"X","Random":-1}`, false},
		{"time after the year 9999", query(command), own + `,"EventTime":253402300800000}`, false},
		{"negative time", query(command), own + `,"EventTime":-1}`, false},
		{"quoted fraction", query(command), own + `,"EventTime":"1.5"}`, false},
		{"empty time", query(command), own + `,"EventTime":""}`, false},
		{"time with a zero more", query(command), own + `,"EventTime":"07"}`, false},
		{"time in an array", query(command), own + `,"EventTime":[1]}`, false},
		{"escaped NUL in a key", query(command), own + `,"a\u0000":1}`, false},
		{"escaped NUL deep", query(command), own + `,"a":[{"b":"\\\u0000"}]}`, false},
		{"text is a number", query(command), own + `,"From_Account":1}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tencentchat.Decode(tt.query, []byte(tt.body))
			if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, tencentchat.ErrPacket) {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"CallbackCommand":"C","EventTime":"1670574414123","MsgSeq":1}`, `{"CallbackCommand":"C","EventTime":1.5}`, `{"Events":[{"CallbackCommand":"Push.C"}]}`, `{"CallbackCommand":"C","x":"\u0000"}`,
	} {
		f.Add("SdkAppid=1&CallbackCommand=C&OptPlatform=iOS", s)
		f.Add("CallbackCommand=Push.C", s)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		ev, err := tencentchat.Decode(query, []byte(body))
		if err != nil {
			if !errors.Is(err, tencentchat.ErrPacket) {
				t.Fatalf("%q %q: %v", query, body, err)
			}
			return
		}
		if ev.Command == "" || string(ev.Body) != body {
			t.Fatalf("%q %q: %+v", query, body, ev)
		}
		if _, err := ev.EventTime.MarshalJSON(); err != nil {
			t.Fatalf("%q: EventTime %v", body, err)
		}
	})
}
