package tencentchat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/internal/strictjson"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// Keys of delivery.Event.Meta.
const (
	// MetaClientIP is the ClientIP parameter; without it there is none.
	MetaClientIP = "client_ip"
	// MetaOptPlatform is the OptPlatform parameter; without it it is RESTAPI.
	MetaOptPlatform = "opt_platform"
)

const maxMetaValue = 256

// Dialect posts after-commands to the backends of apps. An event has the
// SdkAppid as Tenant, the command as Type, and as Data the packet's object
// without CallbackCommand. Accepted is status 200 with a JSON packet whose
// ActionStatus is OK; everything else is tried again where the app wants
// retries, and nothing disables a subscription.
//
// The zero value signs nothing. A Dialect is safe for concurrent use as long
// as its fields are left alone.
type Dialect struct {
	// Signer returns how the requests of an app are signed, false for an app
	// without token. It is asked at every attempt, so that a new token counts
	// at once. Nil: no app has one. See [Apps.Signer].
	Signer func(sdkAppID string) (verify.TencentSign, bool)
	// QuotedEventTime sends EventTime as a string of digits, the form of the
	// documentation's samples, instead of a number.
	QuotedEventTime bool
}

// NewEvent returns an after-command to be given to Engine.Publish: the packet
// of an app. ID, At and Meta are the caller's to set. Errors are
// delivery.ErrInvalid.
func NewEvent(sdkAppID string, p event.Packet) (delivery.Event, error) {
	data, err := event.Data(p)
	if err != nil {
		return delivery.Event{}, fmt.Errorf("%w: %w", delivery.ErrInvalid, err)
	}
	ev := delivery.Event{Dialect: Name, Tenant: sdkAppID, Type: p.Command(), Data: data}
	if err := (Dialect{}).Check(ev); err != nil {
		return delivery.Event{}, err
	}
	return ev, nil
}

var (
	_ delivery.Dialect  = Dialect{}
	_ delivery.Enduring = Dialect{}
)

// errUnsigned fails an attempt: a request that should be signed is never sent
// without.
var errUnsigned = errors.New("tencentchat: the app's token cannot sign now")

// Check reports what is wrong with an event, as an error that wraps
// delivery.ErrInvalid: another dialect, no tenant, a before-command, Push.*,
// data that is not one object by strictjson's rules, holds CallbackCommand or
// a number out of its range. Engine.Publish reports it whether or not somebody
// wants the event.
func (d Dialect) Check(ev delivery.Event) error {
	_, err := d.encode(ev)
	return err
}

// Encode implements [delivery.Dialect]: CallbackCommand, the data's members in
// their order, EventTime where the data lacks it.
func (d Dialect) Encode(ev delivery.Event, sub registry.Subscription) (delivery.Payload, error) {
	body, err := d.encode(ev)
	if err != nil {
		return delivery.Payload{}, err
	}
	if ev.Tenant != sub.Tenant {
		return delivery.Payload{}, fmt.Errorf("%w: subscription of another app", delivery.ErrInvalid)
	}
	p := delivery.Payload{ContentType: mediaJSON, Body: body}
	for _, key := range []string{MetaClientIP, MetaOptPlatform} {
		if v := ev.Meta[key]; v != "" {
			if p.Meta == nil {
				p.Meta = make(map[string]string, 2)
			}
			p.Meta[key] = v
		}
	}
	return p, nil
}

func (d Dialect) encode(ev delivery.Event) ([]byte, error) {
	invalid := func(what string) ([]byte, error) { return nil, fmt.Errorf("%w: %s", delivery.ErrInvalid, what) }
	switch {
	case ev.Dialect != Name:
		return invalid("another dialect")
	case ev.Tenant == "":
		return invalid("no tenant") // the registry would match every app
	}
	if err := checkCommand(ev.Type); err != nil {
		return nil, err
	}
	return d.encodeAny(ev)
}

// encodeAny is encode for before-commands as well.
func (d Dialect) encodeAny(ev delivery.Event) ([]byte, error) {
	invalid := func(what string) ([]byte, error) { return nil, fmt.Errorf("%w: %s", delivery.ErrInvalid, what) }
	for _, key := range []string{MetaClientIP, MetaOptPlatform} {
		if v := ev.Meta[key]; len(v) > maxMetaValue || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			return invalid(key + " is too long or holds a control character")
		}
	}
	if err := strictjson.Check(ev.Data, 0); err != nil {
		return nil, fmt.Errorf("%w: data: %w", delivery.ErrInvalid, err)
	}
	members, err := object(ev.Data)
	if err != nil {
		return invalid("the data is not an object")
	}
	if _, given := members[memberCommand]; given {
		return invalid("the data holds CallbackCommand")
	}
	if holdsNUL(ev.Data) {
		return invalid("the data holds an escaped NUL")
	}
	at, err := checkMembers(ev.Type, members)
	if err != nil {
		return nil, fmt.Errorf("%w: data: %w", delivery.ErrInvalid, err)
	}
	if at.IsZero() {
		at = ev.At
	}
	return d.body(ev.Type, ev.Data, members, at)
}

// body puts the packet together. data is a checked object.
func (d Dialect) body(command string, data []byte, members map[string]json.RawMessage, at time.Time) ([]byte, error) {
	stamp := strconv.FormatInt(at.UnixMilli(), 10)
	if d.QuotedEventTime {
		stamp = `"` + stamp + `"`
	}
	var out bytes.Buffer
	out.Grow(len(data) + len(command) + 64)
	out.WriteString(`{"` + memberCommand + `":"` + command + `"`) // letters and dots: nothing to escape
	if len(members) > 0 {
		out.WriteByte(',')
		begin := out.Len()
		if err := json.Compact(&out, data); err != nil {
			return nil, fmt.Errorf("%w: data", delivery.ErrInvalid)
		}
		inner := bytes.Clone(out.Bytes()[begin+1 : out.Len()-1])
		out.Truncate(begin)
		inner, err := restamp(inner, stamp)
		if err != nil {
			return nil, err
		}
		out.Write(inner)
	}
	if _, given := members[memberEventTime]; !given {
		out.WriteString(`,"` + memberEventTime + `":` + stamp)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// restamp replaces the value of EventTime in the members of a compact object,
// if it is there.
func restamp(members []byte, stamp string) ([]byte, error) {
	text := "{" + string(members) + "}"
	dec := json.NewDecoder(strings.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if name == memberEventTime {
			end := int(dec.InputOffset())
			return []byte(text[1:end-len(value)] + stamp + text[end:len(text)-1]), nil
		}
	}
	return members, nil
}

// Request implements [delivery.Dialect]: the parameters in the platform's
// order, behind a query that the URL has, and signed for this attempt.
func (d Dialect) Request(ctx context.Context, dl delivery.Delivery, sub registry.Subscription, at time.Time) (*http.Request, error) {
	var u strings.Builder
	u.Grow(len(sub.URL) + 320)
	u.WriteString(sub.URL)
	switch {
	case !strings.Contains(sub.URL, "?"):
		u.WriteByte('?')
	case !strings.HasSuffix(sub.URL, "?") && !strings.HasSuffix(sub.URL, "&"):
		u.WriteByte('&')
	}
	platform := dl.Meta[MetaOptPlatform]
	if platform == "" {
		platform = string(PlatformREST)
	}
	u.WriteString("SdkAppid=" + url.QueryEscape(sub.Tenant))
	u.WriteString("&CallbackCommand=" + url.QueryEscape(dl.Type) + "&contenttype=json")
	if ip := dl.Meta[MetaClientIP]; ip != "" {
		u.WriteString("&ClientIP=" + url.QueryEscape(ip))
	}
	u.WriteString("&OptPlatform=" + url.QueryEscape(platform))
	if d.Signer != nil {
		if signer, ok := d.Signer(sub.Tenant); ok {
			sign, requestTime := signer.Sign(at)
			if sign == "" {
				return nil, errUnsigned
			}
			u.WriteString("&Sign=" + sign + "&RequestTime=" + requestTime)
		}
	}
	return delivery.NewRequest(ctx, dl, u.String())
}

// Judge implements [delivery.Dialect]. The answer must be one JSON text within
// the delivery.MaxResponse bytes that are read of it.
func (d Dialect) Judge(status int, _ http.Header, body []byte) delivery.Verdict {
	var answer struct {
		Status string `json:"ActionStatus"`
	}
	if status != http.StatusOK || strictjson.Unmarshal(body, &answer) != nil || answer.Status != statusOK {
		return delivery.VerdictRetry
	}
	return delivery.VerdictAccepted
}

// Endures implements [delivery.Enduring]: an app's callback stays set however
// long it fails.
func (d Dialect) Endures(registry.Subscription) bool { return true }

// Schedule implements [delivery.Dialect]: one attempt, or the standard schedule
// where the app wants retries.
func (d Dialect) Schedule(sub registry.Subscription) delivery.Backoff {
	if sub.Meta[metaRetry] == retryOn {
		return delivery.Standard()
	}
	return delivery.Never()
}
