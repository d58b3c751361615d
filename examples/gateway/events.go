package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/dialect/tencentchat"
)

const (
	maxEventsBody = 8 << 20
	maxEventFrame = 64 << 10 // an event's other keys, and white space
)

// eventIn is an event as POST /admin/events takes it.
type eventIn struct {
	Dialect     string          `json:"dialect"`
	Tenant      string          `json:"tenant"`
	Scope       string          `json:"scope"`
	Type        string          `json:"type"`
	Key         string          `json:"key"`
	Data        json.RawMessage `json:"data"`
	ID          string          `json:"id"`
	ClientIP    string          `json:"client_ip"`
	OptPlatform string          `json:"opt_platform"`
}

type eventOut struct {
	EventID    string `json:"event_id"`
	Deliveries int    `json:"deliveries"`
}

// eventError is why an event is refused, and with which status.
type eventError struct {
	status int
	detail string
}

func (e *eventError) Error() string { return e.detail }

func badEvent(format string, args ...any) error {
	return &eventError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func unknownName(what string) error {
	return &eventError{http.StatusNotFound, "unknown " + what}
}

func (g *gateway) postEvents(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, maxEventsBody)
	if !ok {
		return
	}
	items, err := splitEvents(body)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	events := make([]delivery.Event, len(items))
	for i, item := range items {
		ev, err := g.event(item)
		if refused, is := errors.AsType[*eventError](err); is {
			problem(w, refused.status, fmt.Sprintf("event %d: %s", i, refused.detail))
			return
		}
		ev.TraceParent = traceParent(r)
		events[i] = ev
	}
	published, err := g.engine.Publish(r.Context(), events...)
	if bad, is := errors.AsType[*delivery.Error](err); is {
		problem(w, http.StatusBadRequest, describe(bad))
		return
	}
	if err != nil {
		g.failed(w, r, err)
		return
	}
	out := make([]eventOut, len(published))
	for i, p := range published {
		out[i] = eventOut{p.EventID, p.Deliveries}
	}
	answer(w, http.StatusAccepted, map[string]any{"events": out})
}

// describe says which event is refused and why; dialects' texts hold no secret.
func describe(e *delivery.Error) string {
	rule := strings.TrimPrefix(e.Err.Error(), delivery.ErrInvalid.Error()+": ")
	if e.Field == "" || e.Field == "Data" {
		return fmt.Sprintf("event %d: %s", e.Index, rule)
	}
	return fmt.Sprintf("event %d: %s: %s", e.Index, strings.ToLower(e.Field), rule)
}

// splitEvents returns the events of a body: one object or an array of them.
func splitEvents(body []byte) ([]json.RawMessage, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '[' {
		return []json.RawMessage{body}, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, errors.New("the body is not JSON")
	}
	if len(items) == 0 {
		return nil, errors.New("the array is empty")
	}
	return items, nil
}

// event reads one event and judges its address.
func (g *gateway) event(raw json.RawMessage) (delivery.Event, error) {
	if len(raw) > delivery.MaxData+maxEventFrame {
		return delivery.Event{}, &eventError{http.StatusRequestEntityTooLarge, "the event is over 256 KiB"}
	}
	var in eventIn
	if err := strictObject(raw, &in); err != nil {
		return delivery.Event{}, badEvent("%v", err)
	}
	if len(in.Data) > delivery.MaxData {
		return delivery.Event{}, &eventError{http.StatusRequestEntityTooLarge, "data is over 256 KiB"}
	}
	if len(in.Data) == 0 {
		return delivery.Event{}, badEvent("data is missing")
	}
	ev := delivery.Event{
		ID: in.ID, Dialect: in.Dialect, Tenant: in.Tenant, Scope: in.Scope, Type: in.Type, Key: in.Key, Data: in.Data,
	}
	if in.ID != "" && !delivery.ValidEventID(in.ID) {
		return ev, badEvent("id takes 1 to %d printable ASCII characters without a dot", delivery.MaxID)
	}
	return ev, g.address(&in, &ev)
}

func (g *gateway) address(in *eventIn, ev *delivery.Event) error {
	if in.Type == "" {
		return badEvent("type is missing")
	}
	if (in.ClientIP != "" || in.OptPlatform != "") && in.Dialect != tencentchat.Name {
		return badEvent("client_ip and opt_platform are for %s", tencentchat.Name)
	}
	switch in.Dialect {
	case smartbots.Name:
		return g.addressGroup(in)
	case ednapulse.Name:
		return g.addressChannel(in)
	case standardwebhooks.Name:
		if in.Tenant == "" {
			return badEvent("tenant is missing")
		}
	case tencentchat.Name:
		if !slices.ContainsFunc(g.cfg.apps, func(a tencentchat.App) bool { return a.SDKAppID == in.Tenant }) {
			return unknownName("tenant")
		}
		ev.Scope = ""
		ev.Meta = tencentMeta(in)
	default:
		return badEvent("dialect takes %s, %s, %s or %s", smartbots.Name, ednapulse.Name, tencentchat.Name, standardwebhooks.Name)
	}
	return nil
}

func (g *gateway) addressGroup(in *eventIn) error {
	if in.Type != smartbots.ActionGroupChat {
		return badEvent("type takes %s", smartbots.ActionGroupChat)
	}
	if in.Scope == "" {
		return badEvent("scope is missing: it is the group's id")
	}
	if !slices.Contains(g.groups.ids(), in.Scope) {
		return unknownName("group")
	}
	if in.Tenant != "" && !slices.ContainsFunc(g.cfg.developers, func(d smartbots.Developer) bool { return d.ID == in.Tenant }) {
		return unknownName("tenant")
	}
	return nil
}

func (g *gateway) addressChannel(in *eventIn) error {
	switch in.Type {
	case ednapulse.TypeStatus, ednapulse.TypeInMessage, ednapulse.TypeMessageMatcher:
	default:
		return badEvent("type takes %s, %s or %s", ednapulse.TypeStatus, ednapulse.TypeInMessage, ednapulse.TypeMessageMatcher)
	}
	tenant, known := g.tenants.ByID(in.Tenant)
	if !known {
		return unknownName("tenant")
	}
	if in.Scope == "" {
		return badEvent("scope is missing: it is the subjectId as text")
	}
	id, err := strconv.ParseInt(in.Scope, 10, 64)
	if err != nil || strconv.FormatInt(id, 10) != in.Scope || !tenant.Owns(id) {
		return unknownName("channel")
	}
	return nil
}

func tencentMeta(in *eventIn) map[string]string {
	meta := map[string]string{}
	if in.ClientIP != "" {
		meta[tencentchat.MetaClientIP] = in.ClientIP
	}
	if in.OptPlatform != "" {
		meta[tencentchat.MetaOptPlatform] = in.OptPlatform
	}
	return meta
}

// strictObject decodes one JSON object; unknown, repeated and differently cased
// keys are errors.
func strictObject(raw []byte, to any) error {
	doc, err := parse(raw)
	if err != nil {
		return errors.New("not one JSON object without repeated keys")
	}
	doc.keys(jsonNames(to)...)
	if doc.doc.err != nil || doc.v == nil {
		return errors.New("takes an object with the keys " + fmt.Sprint(jsonNames(to)))
	}
	err = json.Unmarshal(raw, to)
	if wrong, is := errors.AsType[*json.UnmarshalTypeError](err); is {
		return fmt.Errorf("%s takes %s", wrong.Field, cmp.Or(takes[wrong.Field], "a string"))
	}
	if err != nil {
		return errors.New("not JSON")
	}
	return nil
}

// takes are the keys of requests that take something else than a string.
var takes = map[string]string{
	"types": "a list of strings", "dry_run": "true or false",
	"from": instantForm, "to": instantForm,
}

// jsonNames lists the keys that a struct takes.
func jsonNames(v any) []string {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	doc, err := parse(b)
	if err != nil {
		return nil
	}
	o, ok := doc.v.(*object)
	if !ok {
		return nil
	}
	return o.names
}

var traceParentForm = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceParent returns the caller's trace context, if it is well formed.
func traceParent(r *http.Request) string {
	if values := r.Header["Traceparent"]; len(values) == 1 && traceParentForm.MatchString(values[0]) {
		return values[0]
	}
	return ""
}
