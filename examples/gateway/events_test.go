package main_test

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	rc := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	p.bots(t, botsForm(rc.url+"/bots"), teaOK)
	good := event("t1", "a", `1`)
	with := func(rest string) string { return strings.TrimSuffix(good, "}") + "," + rest + "}" }
	bot := func(rest string) string { return `{"dialect":"smartbots","type":"group_chat",` + rest + `}` }
	data := `"data":{"speaker_name":"a","speaker_uuid":"66666666-7777-8888-9999-000000000000","message":"m"}`
	tests := []struct {
		name, body string
		status     int
		says       string
	}{
		{"nothing", ``, 400, ""},
		{"not JSON", `{`, 400, ""},
		{"a string", `"x"`, 400, ""},
		{"null", `null`, 400, ""},
		{"empty array", `[]`, 400, ""},
		{"broken array", `[` + good, 400, ""},
		{"trailing data", good + `{}`, 400, ""},
		{"array of strings", `[` + good + `,"x"]`, 400, "1"},
		{"unknown member", `[` + good + `,` + with(`"later":1`) + `]`, 400, "1"},
		{"member in another case", strings.Replace(good, `"type"`, `"Type"`, 1), 400, "0"},
		{"member twice", with(`"type":"a"`), 400, "0"},
		{"type a number", strings.Replace(good, `"a"`, `1`, 1), 400, "type takes a string"},
		{"no type", `{"dialect":"standard","tenant":"t1","data":1}`, 400, "type"},
		{"nested 100,000 deep", event("t1", "a", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), 400, "0"},
		{"nested in long keys", event("t1", "a", strings.Repeat(`{"`+strings.Repeat("x", 1000)+`":`, 70)+"1"+strings.Repeat("}", 70)), 400, "0"},
		{"no data", `[` + good + `,` + good + `,{"dialect":"standard","tenant":"t1","type":"a"}]`, 400, "2"},
		{"no tenant", `{"dialect":"standard","type":"a","data":1}`, 400, "tenant"},
		{"unknown dialect", strings.Replace(good, `"standard"`, `"other"`, 1), 400, "dialect"},
		{"no dialect", `{"tenant":"t1","type":"a","data":1}`, 400, "dialect"},
		{"id with a dot", with(`"id":"a.b"`), 400, "id"},
		{"id with a space", with(`"id":"a b"`), 400, "id"},
		{"id too long", with(`"id":"` + strings.Repeat("x", 1000) + `"`), 400, "id"},
		{"key too long", with(`"key":"` + strings.Repeat("x", 10_000) + `"`), 400, "ey"},
		{"client_ip elsewhere", with(`"client_ip":"1.2.3.4"`), 400, "client_ip"},

		{"unknown group", bot(`"scope":"none",` + data), 404, "group"},
		{"no scope", bot(data), 400, "scope"},
		{"group_chat only", `{"dialect":"smartbots","scope":"tea-club","type":"callback_removed",` + data + `}`, 400, "group_chat"},
		{"a field is missing", bot(`"scope":"tea-club","data":{"speaker_name":"a","message":"m"}`), 400, "0"},
		{"a field too many", bot(`"scope":"tea-club",` + strings.Replace(data, `{`, `{"action":"callback_removed",`, 1)), 400, "0"},
		{"a field is a number", bot(`"scope":"tea-club",` + strings.Replace(data, `"m"`, `1`, 1)), 400, "takes exactly the strings speaker_name, speaker_uuid and message"},
		{"a field twice", bot(`"scope":"tea-club",` + strings.Replace(data, `{`, `{"message":"x",`, 1)), 400, "0"},
		{"unknown developer", bot(`"tenant":"dev9","scope":"tea-club",` + data), 404, "tenant"},

		{"unknown edna tenant", ednaEvent("none", "234", "status", `{}`), 404, "tenant"},
		{"unknown channel", ednaEvent("acme", "999", "status", `{}`), 404, "channel"},
		{"another tenant's channel", ednaEvent("acme", "7", "status", `{}`), 404, "channel"},
		{"channel not a number", ednaEvent("acme", "x", "status", `{}`), 404, "channel"},
		{"edna type", ednaEvent("acme", "234", "other", `{}`), 400, "type"},
		{"unknown app", `{"dialect":"tencentchat","tenant":"1","type":"C2C.CallbackAfterSendMsg","data":{}}`, 404, "tenant"},

		{"a type of 400 KiB", strings.Replace(good, `"a"`, `"`+strings.Repeat("x", 400<<10)+`"`, 1), 413, "0"},
		{"data over 256 KiB", `[` + good + `,` + event("t1", "a", `"`+strings.Repeat("x", 256<<10)+`"`) + `]`, 413, "1"},
		{"request over 8 MiB", `[` + good + strings.Repeat(" ", 8<<20) + `]`, 413, ""},
	}
	rc.wait(t, 1) // callback_set
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := p.admin(t, "POST", "/admin/events", tt.body)
			if r.status != tt.status || !strings.Contains(r.body, tt.says) {
				t.Errorf("%d %s, want %d and %q", r.status, r.body, tt.status, tt.says)
			}
			if len(r.body) > 2000 || strings.Contains(r.body, "xxxxxxxxxxxxxxxxxxxx") {
				t.Error("the answer repeats the event")
			}
		})
	}
	if s := p.stats(t); s.Pending+s.Delivered+s.Dead != 1 {
		t.Errorf("a refused request stored something: %+v", s)
	}
	rc.only(t, 1)
	r := p.call(t, "POST", "/admin/events", "application/x-www-form-urlencoded", `[`+good+`]`, "Authorization", "Bearer "+adminToken)
	if r.status != 202 { // curl -d says so of whatever it sends
		t.Errorf("JSON by another name: %d", r.status)
	}
	rc.wait(t, 2)
	// Just within the limits.
	p.publish(t, event("t1", "a", `"`+strings.Repeat("y", 256<<10-2-64)+`"`))
	rc.wait(t, 3)
}

// A client that writes its whole request before it looks for an answer finds it.
func TestTooLargeForPatientClients(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	for name, head := range map[string]string{
		"with its length": "Content-Length: 12582912\r\n\r\n",
		"in chunks":       "Transfer-Encoding: chunked\r\n\r\nc00000\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /admin/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+adminToken+"\r\n"+head+strings.Repeat(" ", 12<<20)+"\r\n0\r\n\r\n")
		if err != nil {
			t.Errorf("%s: the request was not read: %v", name, err)
			continue
		}
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(answer, " 413 ") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
	}
}

// A client that waits to be told is told at once, and sends nothing.
func TestTooLargeIsToldBefore(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /admin/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+adminToken+"\r\nExpect: 100-continue\r\nContent-Length: 12582912\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(answer, " 413 ") {
		t.Errorf("%q, %v", answer, err)
	}
}

// A repeat of an id answers as the first time and sends nothing new.
func TestEventRepeats(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc, late := receive(t, nil), receive(t, nil)
	ev := func(id string) string { return strings.Replace(event("t1", "a", `1`), "{", `{"id":"`+id+`",`, 1) }
	nobody := p.publish(t, ev("e0"))
	if want := []eventRow{{"e0", 0}}; !slices.Equal(nobody, want) {
		t.Fatalf("%+v", nobody)
	}
	p.subscribe(t, "t1", rc.url, "a")
	first := p.publish(t, ev("e1"), ev("e2"), ev("e1"))
	want := []eventRow{{"e1", 1}, {"e2", 1}, {"e1", 1}}
	if !slices.Equal(first, want) {
		t.Errorf("%+v", first)
	}
	rc.only(t, 2)
	p.subscribe(t, "t1", late.url, "a")
	again := func() {
		t.Helper()
		if got := p.publish(t, ev("e2"), ev("e0"), ev("e1")); !slices.Equal(got, []eventRow{{"e2", 1}, {"e0", 0}, {"e1", 1}}) {
			t.Errorf("%+v", got)
		}
	}
	again()
	eventually(t, "both settled", func() bool { return p.stats(t).Delivered == 2 })
	again()
	p.stop(t)
	p = start(t, p.dir)
	again()
	if got := p.publish(t, ev("e3")); got[0].Deliveries != 2 {
		t.Errorf("%+v", got)
	}
	rc.wait(t, 3)
	late.wait(t, 1)
	eventually(t, "all settled", func() bool { return p.stats(t) == statsRow{Delivered: 4, Endpoints: 2} })
	rc.only(t, 3)
	late.only(t, 1)
}

// One id more than once, from several callers at a time.
func TestEventRepeatsAtOnce(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	body := `{"id":"same","dialect":"standard","tenant":"t1","type":"a","data":1}`
	answers := make(chan string, 8)
	for range cap(answers) {
		go func() {
			r, err := p.try("POST", "/admin/events", jsonType, body, "Authorization", "Bearer "+adminToken)
			if err != nil {
				r.body = err.Error()
			}
			answers <- strings.TrimSpace(r.body)
		}()
	}
	for range cap(answers) {
		if a := <-answers; a != `{"events":[{"event_id":"same","deliveries":1}]}` {
			t.Error(a)
		}
	}
	eventually(t, "settled", func() bool { return p.stats(t).Pending == 0 })
	rc.only(t, 1)
}

// More events than one batch of the store takes.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	events := make([]string, 2500)
	for i := range events {
		events[i] = event("t1", "a", text(i))
	}
	ids := map[string]bool{}
	for _, row := range p.publish(t, events...) {
		ids[row.EventID] = true
	}
	if len(ids) != len(events) {
		t.Errorf("%d ids", len(ids))
	}
	for _, q := range rc.wait(t, len(events)) {
		delete(ids, q.id())
	}
	if len(ids) > 0 {
		t.Errorf("%d events did not arrive", len(ids))
	}
}
