package ednapulse_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/internal/strictjson"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

func receiver(t *testing.T, h ednapulse.Handler) *ednapulse.Receiver {
	t.Helper()
	rc, err := ednapulse.NewReceiver(ednapulse.ReceiverConfig{
		Keys:    []registry.Secret{registry.NewSecret("new"), registry.NewSecret("K")},
		Handler: h, Logger: quiet, BodyLimit: 1000,
	})
	return must(t, rc, err)
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	big := `"` + strings.Repeat("a", 1000) + `"`
	tests := []struct {
		name, method, auth, media, body string
		status                          int
	}{
		{"HEAD without credentials", http.MethodHead, "", "", "", 200},
		{"GET without credentials", http.MethodGet, "", "", "", 200},
		{"object", http.MethodPost, "Token K", "application/json", `{}`, 200},
		{"the other key", http.MethodPost, "Token new", "application/json", `{}`, 200},
		{"array", http.MethodPost, "Token K", "application/json", `[{},{}]`, 200},
		{"empty array", http.MethodPost, "Token K", "application/json", `[]`, 200},
		{"capitals", http.MethodPost, "TOKEN K", "application/json", `{}`, 200},
		{"bare", http.MethodPost, "K", "", `{}`, 200},
		{"charset", http.MethodPost, "K", "application/json; charset=utf-8", `{}`, 200},
		{"Bearer", http.MethodPost, "Bearer K", "application/json", `{}`, 401},
		{"Basic", http.MethodPost, "Basic K", "application/json", `{}`, 401},
		{"two spaces", http.MethodPost, "Token  K", "application/json", `{}`, 401},
		{"extra", http.MethodPost, "Token K extra", "application/json", `{}`, 401},
		{"no space", http.MethodPost, "TokenK", "application/json", `{}`, 401},
		{"twice", http.MethodPost, "Token Token K", "application/json", `{}`, 401},
		{"empty", http.MethodPost, "Token ", "application/json", `{}`, 401},
		{"method before size", http.MethodPut, "", "application/json", big, 405},
		{"size before key", http.MethodPost, "x", "application/json", big, 413},
		{"key before media type", http.MethodPost, "x", "text/plain", `{`, 401},
		{"media type before syntax", http.MethodPost, "K", "text/plain", `{`, 415},
		{"syntax", http.MethodPost, "K", "application/json", `{`, 400},
		{"duplicate", http.MethodPost, "K", "application/json", `{"a":1,"a":2}`, 400},
		{"trailing", http.MethodPost, "K", "application/json", `{}{}`, 400},
		{"scalar", http.MethodPost, "K", "application/json", `7`, 400},
		{"null", http.MethodPost, "K", "application/json", `null`, 400},
		{"array of scalars", http.MethodPost, "K", "application/json", `[{},1]`, 400},
		{"wrong type", http.MethodPost, "K", "application/json", `{"status":1,"statusAt":null}`, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handled := false
			rc := receiver(t, func(context.Context, []ednapulse.Event) error { handled = true; return nil })
			r := httptest.NewRequestWithContext(t.Context(), tt.method, "/edna", strings.NewReader(tt.body))
			if tt.auth != "" {
				r.Header.Set("Authorization", tt.auth)
			}
			if tt.media != "" {
				r.Header.Set("Content-Type", tt.media)
			}
			w := httptest.NewRecorder()
			rc.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if tt.status == 200 && w.Body.Len() != 0 {
				t.Errorf("body %q, want none", w.Body)
			}
			if want := tt.status == 200 && tt.method == http.MethodPost; handled != want {
				t.Errorf("handled: %v", handled)
			}
		})
	}
}

func TestReceiverFailure(t *testing.T) {
	t.Parallel()
	post := func(h http.Handler) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/edna", strings.NewReader(`{}`))
		r.Header.Set("Authorization", "K")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	status, body := post(receiver(t, func(context.Context, []ednapulse.Event) error { return errDisk }))
	if status != 503 || strings.Contains(body, "disk") {
		t.Errorf("failed handler: %d %s", status, body)
	}
	if status, _ := post(&ednapulse.Receiver{}); status != 503 {
		t.Errorf("zero value: %d", status)
	}
}

func TestReceiverConfig(t *testing.T) {
	t.Parallel()
	h := func(context.Context, []ednapulse.Event) error { return nil }
	for name, tt := range map[string]struct {
		cfg  ednapulse.ReceiverConfig
		want error
	}{
		"no key":     {ednapulse.ReceiverConfig{Handler: h}, verify.ErrEmptyKey},
		"empty key":  {ednapulse.ReceiverConfig{Handler: h, Keys: []registry.Secret{{}}}, verify.ErrEmptyKey},
		"bad key":    {ednapulse.ReceiverConfig{Handler: h, Keys: []registry.Secret{registry.NewSecret("a b")}}, verify.ErrConfig},
		"no handler": {ednapulse.ReceiverConfig{Keys: []registry.Secret{registry.NewSecret("a")}}, ednapulse.ErrConfig},
		"limit":      {ednapulse.ReceiverConfig{Handler: h, Keys: []registry.Secret{registry.NewSecret("a")}, BodyLimit: -1}, ednapulse.ErrConfig},
	} {
		if _, err := ednapulse.NewReceiver(tt.cfg); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVectors decodes the published samples.
func TestVectors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file  string
		check func(ednapulse.Event) bool
	}{
		{"status.2021.failed.json", func(e ednapulse.Event) bool {
			s, ok := e.(*ednapulse.Status)
			return ok && s.Status == ednapulse.Failed && s.SubjectID == 345 && s.Error == "error-subject-unknown" && s.StatusAt.Year() == 2021
		}},
		{"status.2023.json", func(e ednapulse.Event) bool {
			s, ok := e.(*ednapulse.Status)
			return ok && s.Status == ednapulse.Read && s.RequestID == "test-00135" && strings.Contains(string(s.Payment), "test0001")
		}},
		{"status.2025.json", func(e ednapulse.Event) bool {
			s, ok := e.(*ednapulse.Status)
			return ok && s.Status == ednapulse.Delivered && s.MessageID == 8681748 && s.CascadeStageUUID == "001-test001"
		}},
		{"in_message.text.json", func(e ednapulse.Event) bool {
			m, ok := e.(*ednapulse.InMessage)
			return ok && m.Content.Type == "TEXT" && m.Content.Text == "Thank you for your help" && m.Subscriber.Identifier == "35700000000" && m.UserInfo.UserName == "alex" && m.ReplyOutMessageID == 5043874
		}},
		{"in_message.flow_batch.shape.json", func(e ednapulse.Event) bool {
			m, ok := e.(*ednapulse.InMessage)
			return ok && m.Content.Type == "FLOW" && m.ID == 102
		}},
		{"message_matcher.status.object.json", func(e ednapulse.Event) bool {
			m, ok := e.(*ednapulse.TemplateStatus)
			return ok && m.Template.Status == ednapulse.Approved && m.Template.Name == "new_matcher_2" && len(m.SubjectIDs) == 1 && m.SubjectIDs[0] == 18594
		}},
		{"message_matcher.status.array.json", func(e ednapulse.Event) bool {
			m, ok := e.(*ednapulse.TemplateStatus)
			return ok && m.Template.Status == "STRING" && m.Template.Locked && m.Template.UpdatedAt.Year() == 2023 && m.SubjectIDs == nil
		}},
		{"message_matcher.category_changed.json", func(e ednapulse.Event) bool {
			c, ok := e.(*ednapulse.CategoryChanged)
			return ok && c.Payload.ID == 123 && c.Payload.Category == "MARKETING" && c.Version == "v1" && c.Timestamp.Year() == 2025
		}},
		{"short_link_visited.json", func(e ednapulse.Event) bool {
			c, ok := e.(*ednapulse.LinkClick)
			return ok && c.Payload.ShortLink == "f42kL" && c.Payload.OutMessageID == 5345345 && c.Type == "short_link_visited"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			raw := vector(t, "edna/"+tt.file)
			events, err := ednapulse.Decode(raw)
			if err != nil || len(events) != 1 {
				t.Fatalf("%d events, %v", len(events), err)
			}
			if !tt.check(events[0]) {
				t.Errorf("%T %+v", events[0], events[0])
			}
			text := strings.TrimSpace(string(raw))
			if !strings.Contains(text, string(events[0].JSON())) || events[0].JSON()[0] != '{' {
				t.Errorf("JSON is not the sample's: %s", events[0].JSON())
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	events, err := ednapulse.Decode([]byte(` [ {"status":"delivered","statusAt":null,"STATUS":"x"} , {"type":"later","n":1} , {"type":5} , {"messageMatcher":null} ] `))
	if err != nil || len(events) != 4 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if s, ok := events[0].(*ednapulse.Status); !ok || s.Status != ednapulse.Delivered {
		t.Errorf("%T %+v", events[0], events[0])
	}
	if u, ok := events[1].(*ednapulse.Unknown); !ok || u.Type != "later" || string(u.JSON()) != `{"type":"later","n":1}` {
		t.Errorf("%T %+v", events[1], events[1])
	}
	if u, ok := events[2].(*ednapulse.Unknown); !ok || u.Type != "" {
		t.Errorf("%T %+v", events[2], events[2])
	}
	if m, ok := events[3].(*ednapulse.TemplateStatus); !ok || m.Template.Name != "" {
		t.Errorf("%T %+v", events[3], events[3])
	}
	const pair = `[{"type":"a"},{"type":"bb"}]`
	body := []byte(pair)
	if events, err := ednapulse.Decode(body); err != nil || string(body) != pair || string(events[1].JSON()) != `{"type":"bb"}` {
		t.Errorf("%v %v, the body is now %s", events, err, body)
	}
	_, err = ednapulse.Decode([]byte(`{"status":"x","statusAt":"hush"}`))
	if !errors.Is(err, strictjson.ErrInvalid) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `[{"status":"READ","statusAt":"2021-01-21T08:00:00Z"}]`, `{"messageContent":{"type":"TEXT"}}`,
		`{"type":"short_link_visited","payload":{}}`, `{"name":"a","status":"b","channelType":"c"}`, `{"messageMatcher":{},"subjectIds":[1]}`, ` null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := string(in)
		events, err := ednapulse.Decode(in)
		if string(in) != before {
			t.Fatalf("%q became %q", before, in)
		}
		if err != nil {
			if !errors.Is(err, strictjson.ErrInvalid) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		for _, e := range events {
			if !json.Valid(e.JSON()) || e.JSON()[0] != '{' {
				t.Fatalf("%q: JSON %q", in, e.JSON())
			}
			if again, err := ednapulse.Decode(e.JSON()); err != nil || len(again) != 1 {
				t.Fatalf("%q: its event %q: %v", in, e.JSON(), err)
			}
		}
	})
}
