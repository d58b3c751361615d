package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The objects of /admin, as GATEWAY.md names their members. reply.into refuses
// others, and TestAdminShapes looks that none is missing.
type (
	deliveryRow struct {
		ID             string     `json:"id"`
		EventID        string     `json:"event_id"`
		Type           string     `json:"type"`
		SubscriptionID string     `json:"subscription_id"`
		URL            *string    `json:"url"`
		State          string     `json:"state"`
		Attempts       int        `json:"attempts"`
		LastStatus     *int       `json:"last_status"`
		LastError      *string    `json:"last_error"`
		NextAttemptAt  *time.Time `json:"next_attempt_at"`
	}
	attemptRow struct {
		Number     int       `json:"number"`
		At         time.Time `json:"at"`
		DurationMS float64   `json:"duration_ms"`
		Status     *int      `json:"status"`
		Error      *string   `json:"error"`
		Response   string    `json:"response"`
	}
	subscriptionRow struct {
		ID        string    `json:"id"`
		Dialect   string    `json:"dialect"`
		Tenant    string    `json:"tenant"`
		Scope     string    `json:"scope"`
		Slot      string    `json:"slot"`
		Label     string    `json:"label"`
		URL       string    `json:"url"`
		Types     []string  `json:"types"`
		State     string    `json:"state"`
		CreatedAt time.Time `json:"created_at"`
	}
	appRow struct {
		SubscriptionID string     `json:"subscription_id"`
		AppName        string     `json:"app_name"`
		URLHost        string     `json:"url_host"`
		Since          *time.Time `json:"since"`
		LastSuccessAt  *time.Time `json:"last_success_at"`
	}
	statsRow struct {
		Pending   int `json:"pending"`
		Delivered int `json:"delivered"`
		Dead      int `json:"dead"`
		Endpoints int `json:"endpoints"`
	}
	eventRow struct {
		EventID    string `json:"event_id"`
		Deliveries int    `json:"deliveries"`
	}
)

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// publish posts events, each a JSON text, and returns the answer's rows.
func (p *process) publish(t *testing.T, events ...string) []eventRow {
	t.Helper()
	body := events[0]
	if len(events) > 1 {
		body = "[" + strings.Join(events, ",") + "]"
	}
	var out struct {
		Events []eventRow `json:"events"`
	}
	p.admin(t, "POST", "/admin/events", body).want(t, 202).into(t, &out)
	if len(out.Events) != len(events) {
		t.Fatalf("%d rows for %d events", len(out.Events), len(events))
	}
	return out.Events
}

func (p *process) deliveries(t *testing.T, query string) []deliveryRow {
	t.Helper()
	var rows []deliveryRow
	p.admin(t, "GET", "/admin/deliveries?"+query, "").want(t, 200).into(t, &rows)
	return rows
}

// deliveryOf waits until the one delivery of an event is as wanted.
func (p *process) deliveryOf(t *testing.T, eventID, what string, ok func(deliveryRow) bool) deliveryRow {
	t.Helper()
	var found deliveryRow
	eventually(t, "delivery of "+eventID+": "+what, func() bool {
		for _, d := range p.deliveries(t, "limit=1000") {
			if d.EventID == eventID {
				found = d
				return ok(d)
			}
		}
		return false
	})
	return found
}

func inState(state string) func(deliveryRow) bool {
	return func(d deliveryRow) bool { return d.State == state }
}

func (p *process) attempts(t *testing.T, deliveryID string) []attemptRow {
	t.Helper()
	var rows []attemptRow
	p.admin(t, "GET", "/admin/deliveries/"+deliveryID+"/attempts", "").want(t, 200).into(t, &rows)
	return rows
}

func (p *process) subscriptions(t *testing.T) []subscriptionRow {
	t.Helper()
	var rows []subscriptionRow
	p.admin(t, "GET", "/admin/subscriptions", "").want(t, 200).into(t, &rows)
	return rows
}

func (p *process) stats(t *testing.T) (s statsRow) {
	t.Helper()
	p.admin(t, "GET", "/admin/stats", "").want(t, 200).into(t, &s)
	return s
}

// subscribe makes a Standard Webhooks subscription.
func (p *process) subscribe(t *testing.T, tenant, to string, types ...string) (id, secret string) {
	t.Helper()
	var out struct{ ID, Secret string }
	in := text(map[string]any{"dialect": "standard", "tenant": tenant, "url": to, "types": types})
	p.admin(t, "POST", "/admin/subscriptions", in).want(t, 201).into(t, &out)
	if !strings.HasPrefix(out.Secret, "whsec_") || out.ID == "" {
		t.Fatalf("the new subscription is %+v", out)
	}
	p.secrets.add(out.Secret, strings.TrimPrefix(out.Secret, "whsec_"))
	return out.ID, out.Secret
}

// event makes a Standard Webhooks event.
func event(tenant, kind, data string) string {
	return fmt.Sprintf(`{"dialect":"standard","tenant":%q,"type":%q,"data":%s}`, tenant, kind, data)
}

// botsForm is a call of the SmartBots API that is in order; pairs change it, an
// empty value takes a parameter away.
func botsForm(to string, pairs ...string) url.Values {
	v := url.Values{
		"action": {"set_http_callback"}, "apikey": {botsKey}, "secret": {teaCode}, "group": {"Tea Club"},
		"app_name": {"Kettle"}, "app_uuid": {kettleUUID}, "url": {to},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

const (
	kettleUUID = "3c525949-fdb7-4ab6-b5c2-bf3b4c5145be"
	potUUID    = "11111111-2222-4333-8444-555555555555"

	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	teaOK    = `{"result":"OK","group_uuid":"` + teaUUID + `","group_id":"tea-club"}`
	chessOK  = `{"result":"OK","group_uuid":"` + chessUUID + `","group_id":"chess"}`
)

func failed(resulttext string) string { return `{"result":"FAIL","resulttext":"` + resulttext + `"}` }

// bots makes a SmartBots call that must be answered with exactly this body.
func (p *process) bots(t *testing.T, form url.Values, want string) {
	t.Helper()
	r := p.call(t, http.MethodPost, "/api/simple.html", formType, form.Encode())
	if r.status != 200 || strings.TrimSpace(r.body) != want {
		t.Fatalf("%d %s, want %s", r.status, r.body, want)
	}
}

// chat is a SmartBots event for a group.
func chat(groupID, message string) string {
	return text(map[string]any{"dialect": "smartbots", "scope": groupID, "type": "group_chat", "data": map[string]string{
		"speaker_name": "Ada Lovelace", "speaker_uuid": "66666666-7777-8888-9999-000000000000", "message": message,
	}})
}
