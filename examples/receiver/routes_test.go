package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
)

const (
	uuid      = "5e8ac7a1-32a5-4c6e-b3e9-0b5e1b7a3c11"
	otherUUID = "5e8ac7a1-32a5-4c6e-b3e9-0b5e1b7a3c12"
	packetOK  = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`
)

// Every route takes what is signed, once, and refuses all else.
func TestRoutes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ours, theirs := newSecrets(t, uuid), newSecrets(t, otherUUID)
	base, stop := start(t, ours.file(t, d.URL, nil))
	const attrs = "Group.CallbackAfterGroupAttrChanged"
	notes := map[string]string{} // by their body
	for name, tt := range map[string]struct {
		send   message
		body   string
		other  string // with the same id; empty where a route has no ids
		status int
		answer string
		kind   string // of the note; empty for none
		marked bool   // a repeat is
		noted  string // the note's body where it is not the callback's
	}{
		"standard": {byStandard(false), `{"type":"invoice.paid"}`, `{"type":"invoice.void"}`, 204, "", "invoice.paid", true, ""},
		"v1a":      {byStandard(true), `{"type":"invoice.sent"}`, `{"type":"invoice.void"}`, 204, "", "invoice.sent", true, ""},
		"github":   {byPlatform(verify.GitHub()), `{"action":"opened"}`, `{"action":"closed"}`, 204, "", "issues", true, ""},
		"stripe":   {byPlatform(verify.Stripe()), `{"id":"evt_1","type":"charge"}`, `{"id":"evt_1","type":"refund"}`, 204, "", "charge", true, ""},
		"slack": {
			byPlatform(verify.Slack()), `{"event_id":"Ev1","event":{"type":"message"}}`, `{"event_id":"Ev1","event":{"type":"reaction"}}`,
			204, "", "message", true, "",
		},
		"shopify": {byPlatform(verify.Shopify()), `{"order":1}`, `{"order":2}`, 204, "", "orders/paid", true, ""},
		"signed":  {byHTTPSig, `{"account":"a","cents":5}`, `{"account":"a","cents":6}`, 200, `{"booked":5}`, "", true, ""},
		"smartbots": {
			bySmartBots, "action=group_chat&speaker_name=Ann&group_name=Us&message=hi", "action=group_chat&message=no",
			204, "", "Ann spoke in Us", true, "action=group_chat&speaker_name=Ann&group_name=Us&message=hi&app_uuid=" + uuid,
		},
		"edna": {byEdna, `[{"status":"failed","messageId":1},{"status":"READ","messageId":2}]`, "", 204, "", "2 events, 1 messages failed", true, ""},
		"tencent": {
			byTencent(attrs), `{"CallbackCommand":"` + attrs + `","GroupId":"g","OptionType":"set","GroupAttr":[{"key":"k","value":"v"}],"EventTime":"1670574414123"}`,
			"", 200, packetOK, "set of 1 attributes in g", false, "-",
		},
		"tencent, no handler": {
			byTencent("State.StateChange"), `{"CallbackCommand":"State.StateChange","EventTime":1}`, "", 200, packetOK, "State.StateChange", false, "",
		},
		"tencent, asked": {
			byTencent("Group.CallbackBeforeSendMsg"),
			`{"CallbackCommand":"Group.CallbackBeforeSendMsg","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"the casino"}}]}`,
			"", 200, `{"ActionStatus":"OK","ErrorInfo":"no advertisements","ErrorCode":10100}`, "", false, "",
		},
		"tencent, asked something else": {
			byTencent("Group.CallbackBeforeCreateGroup"), `{"CallbackCommand":"Group.CallbackBeforeCreateGroup"}`, "", 200, packetOK, "", false, "",
		},
	} {
		id := "msg_" + strings.ReplaceAll(name, " ", "_")
		check := func(what string, got answer, status int, body, replayed string) {
			t.Helper()
			if got.status != status || body != "?" && got.body != body || got.header.Get("Idempotent-Replayed") != replayed {
				t.Errorf("%s, %s: %d %s %v, want %d %s replayed %q", name, what, got.status, got.body, got.header, status, body, replayed)
			}
		}
		check("another's secret", send(t, tt.send(t, theirs, base, id, tt.body)), 401, "?", "")
		check("too large", send(t, tt.send(t, ours, base, id, tt.body+strings.Repeat(" ", maxBody))), 413, "?", "")
		check("signed", send(t, tt.send(t, ours, base, id, tt.body)), tt.status, tt.answer, "")
		mark := ""
		if tt.marked {
			mark = "true"
		}
		check("again", send(t, tt.send(t, ours, base, id, tt.body)), tt.status, tt.answer, mark)
		if tt.other != "" {
			check("with another body", send(t, tt.send(t, ours, base, id, tt.other)), 409, "?", "")
		}
		r := tt.send(t, ours, base, id, tt.body)
		r.Method = http.MethodPut
		if got := send(t, r); got.status != 405 {
			t.Errorf("%s by PUT: %d", name, got.status)
		}
		switch {
		case tt.noted == "-":
			notes[tt.kind] = ""
		case tt.noted != "":
			notes[tt.kind] = tt.noted
		case tt.kind != "":
			notes[tt.kind] = tt.body
		}
	}
	d.await(t, "all notes", func(_ int, got []note) bool { return len(got) >= len(notes) })
	stop()
	ids := map[string]bool{}
	for _, n := range d.all() {
		body, wanted := notes[n.Kind]
		if !wanted || n.Body != body || ids[n.ID] || n.ID == "" {
			t.Errorf("the note %+v is not wanted, or not so, or comes twice", n)
		}
		ids[n.ID] = true
		delete(notes, n.Kind)
	}
	for kind := range notes {
		t.Errorf("no note of %s", kind)
	}
}

// What platforms ask before they send is answered.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	ours := newSecrets(t, uuid)
	base, _ := start(t, ours.file(t, "http://127.0.0.1:1", nil))
	ask := func(method, path string, header ...string) answer {
		t.Helper()
		r := unsigned(t, base+path, "")
		r.Method = method
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return send(t, r)
	}
	got := ask(http.MethodOptions, "/standard", "WebHook-Request-Origin", "events.example.net", "WebHook-Request-Rate", "120")
	if got.status != 200 || got.header.Get("WebHook-Allowed-Origin") != "events.example.net" || got.header.Get("WebHook-Allowed-Rate") != "120" {
		t.Errorf("handshake: %d %v", got.status, got.header)
	}
	got = ask(http.MethodOptions, "/standard", "WebHook-Request-Origin", "evil.example")
	if got.status != 403 || got.header.Get("WebHook-Allowed-Origin") != "" {
		t.Errorf("a stranger's handshake: %d %v", got.status, got.header)
	}
	if got = ask(http.MethodHead, "/edna"); got.status != 200 || got.body != "" {
		t.Errorf("probe: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/standard", "/github", "/signed", "/tencent"} {
		if got = ask(http.MethodHead, path); got.status != 405 {
			t.Errorf("HEAD %s: %d", path, got.status)
		}
	}
	if got = ask(http.MethodPost, "/elsewhere"); got.status != 404 {
		t.Errorf("no route: %d", got.status)
	}
	const challenge = `{"type":"url_verification","challenge":"c1"}`
	bySlack := byPlatform(verify.Slack())
	if got = send(t, bySlack(t, ours, base, "", challenge)); got.status != 200 || got.body != "c1" {
		t.Errorf("Slack's challenge: %d %s", got.status, got.body)
	}
	if got = send(t, bySlack(t, newSecrets(t, uuid), base, "", challenge)); got.status != 401 {
		t.Errorf("a stranger's challenge: %d %s", got.status, got.body)
	}
}

// What is missing is said at start, all of it, and no secret with it.
func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSecrets(t, uuid)
	begin := func(file string) error {
		return run(t.Context(), []string{"receiver", "-config", file}, func(string) string { return "" }, io.Discard, io.Discard)
	}
	whole := s.file(t, "http://127.0.0.1:1", nil)
	for name, tt := range map[string]struct {
		file string
		want []string
	}{
		"no file":      {"", []string{"-config", "RECEIVER_CONFIG"}},
		"another file": {whole + "x", []string{"receiver.jsonx"}},
		"all":          {s.file(t, "", func(c map[string]any) { clear(c) }), []string{`"github"`, `"tencent.tokens"`, `"signed"`, `"host"`, "Settings, Webhooks"}},
		"empty":        {s.file(t, "x", func(c map[string]any) { c["slack"] = []string{""} }), []string{`"slack"`, "signing secret"}},
		"no tokens":    {s.file(t, "x", func(c map[string]any) { c["tencent"] = map[string]any{"app": "1400000001"} }), []string{`"tencent.tokens"`}},
		"misspelled":   {s.file(t, "x", func(c map[string]any) { c["githob"] = "" }), []string{"githob"}},
		"not base64":   {s.file(t, "x", func(c map[string]any) { c["standard"] = []string{"whsec_" + s.text + "!"} }), []string{"standard"}},
		"no public":    {s.file(t, "x", func(c map[string]any) { c["signed"] = map[string]string{"k": s.text} }), []string{"signed", `"k"`}},
		"everybody":    {s.file(t, "x", func(c map[string]any) { c["proxies"] = []string{"0.0.0.0/0"} }), []string{"proxies"}},
	} {
		err := begin(tt.file)
		if err == nil {
			t.Errorf("%s: it starts", name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %s", name, err, want)
			}
		}
		if strings.Contains(err.Error(), s.text) {
			t.Errorf("%s: a secret is in %q", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"receiver", "-h"}, func(string) string { return "" }, io.Discard, io.Discard); err != nil {
		t.Errorf("help: %v", err)
	}
}
