package tencentchat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/internal/ids"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// A Policy decides for an app that gave no usable answer in time.
type Policy uint8

const (
	// AllowOnFault goes on as if allowed. It is the zero value, because it is
	// what the platform does and what its apps expect.
	AllowOnFault Policy = iota
	// RefuseOnFault forbids what was asked, for every account concerned.
	RefuseOnFault
	// ErrorOnFault decides nothing: Ask returns the fault as its error.
	ErrorOnFault
)

// The faults of a question, in Decision.Fault or, with [ErrorOnFault], in the
// error of [Client.Ask].
var (
	// ErrTimeout: no whole answer within [Timeout].
	ErrTimeout = errors.New("tencentchat: the app did not answer in time")
	// ErrUnreachable: no connection, one that broke off, or an address that the
	// egress policy refuses.
	ErrUnreachable = errors.New("tencentchat: the app could not be reached")
	// ErrAnswer: a status other than 200 (redirects are not followed), no JSON,
	// too long, FAIL, or a code that the command does not have.
	ErrAnswer = errors.New("tencentchat: not an answer")
)

// ErrSwitchedOff is the error of a question that the app does not want to be
// asked: nothing was sent, and the platform would go on.
var ErrSwitchedOff = errors.New("tencentchat: the before-command is not switched on")

// ClientConfig makes a [Client].
type ClientConfig struct {
	// Apps are those that may be asked, with URL and Before. Needed.
	Apps []App
	// HTTP sends the requests: the client of registry/egress, which judges
	// addresses. Needed. Of an *http.Client a copy is used that follows no
	// redirect.
	HTTP delivery.Client
	// OnFault decides for an app that gave no usable answer.
	OnFault Policy
	// QuotedEventTime sends EventTime as a string of digits.
	QuotedEventTime bool
	// Now is the wall clock of EventTime and RequestTime. Nil is time.Now.
	Now func() time.Time
}

// A Client asks an app's backend before something happens: the platform's side
// of a before-command. A question is one request, which is over after
// [Timeout], is never repeated and never stored.
//
// The zero value knows no app. Make one with [NewClient]; it holds nothing open
// and is safe for concurrent use. For changed apps make another.
type Client struct {
	cfg     ClientConfig
	apps    map[string]App
	dialect Dialect
}

// NewClient makes a client. Errors are those of [NewApps], and [ErrConfig] for
// a policy that is none, no HTTP client, a command in Before that is no
// before-command, and an app that has some but no usable URL.
func NewClient(cfg ClientConfig) (*Client, error) {
	apps, err := NewApps(cfg.Apps...)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.HTTP == nil:
		return nil, fmt.Errorf("%w: ClientConfig.HTTP is needed; registry/egress makes one that judges addresses", ErrConfig)
	case cfg.OnFault > ErrorOnFault:
		return nil, fmt.Errorf("%w: ClientConfig.OnFault is none of the policies", ErrConfig)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if plain, ok := cfg.HTTP.(*http.Client); ok {
		if plain == nil {
			return nil, fmt.Errorf("%w: ClientConfig.HTTP is nil", ErrConfig)
		}
		unfollowing := *plain
		unfollowing.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		cfg.HTTP = &unfollowing
	}
	c := &Client{cfg: cfg, apps: make(map[string]App, len(cfg.Apps)), dialect: Dialect{Signer: apps.Signer, QuotedEventTime: cfg.QuotedEventTime}}
	for _, app := range cfg.Apps {
		for _, command := range app.Before {
			if _, known := codesOf(command); !known {
				return nil, fmt.Errorf("%w: SdkAppid %s: %q is no before-command", ErrConfig, app.SDKAppID, command)
			}
		}
		if u, err := url.Parse(app.URL); len(app.Before) > 0 && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			return nil, fmt.Errorf("%w: SdkAppid %s: URL is not one of http or https", ErrConfig, app.SDKAppID)
		}
		app.Before = slices.Clone(app.Before)
		c.apps[app.SDKAppID] = app
	}
	return c, nil
}

// A Question is one packet for one app.
type Question struct {
	// SDKAppID names the app. Needed.
	SDKAppID string
	// Packet is what is asked. EventTime is added where it has none. Needed.
	Packet event.Before
	// ClientIP and Platform say where the operation came from. Without a
	// Platform it is [PlatformREST].
	ClientIP string
	Platform OptPlatform
	// ID is the webhook-id, by which the app knows the request in its logs. ""
	// is a new one.
	ID string
}

// Ask sends a question and returns what was decided, by the app or by the
// policy. An error means that nothing was: a question that cannot be sent
// ([ErrConfig], [ErrSwitchedOff], delivery.ErrInvalid), ctx that ended first,
// or a fault with [ErrorOnFault]. No error quotes the URL or the answer.
func (c *Client) Ask(ctx context.Context, q Question) (Decision, error) {
	app, known := c.apps[q.SDKAppID]
	if !known {
		return Decision{}, fmt.Errorf("%w: the client knows no app of this SdkAppid", ErrConfig)
	}
	now := c.cfg.Now()
	data, err := event.Data(q.Packet)
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", delivery.ErrInvalid, err)
	}
	command := q.Packet.Command()
	if !slices.Contains(app.Before, command) {
		return Decision{}, fmt.Errorf("%w: %s", ErrSwitchedOff, command)
	}
	meta := map[string]string{MetaClientIP: q.ClientIP, MetaOptPlatform: string(q.Platform)}
	body, err := c.dialect.encodeAny(delivery.Event{Type: command, Data: data, Meta: meta, At: now})
	if err != nil {
		return Decision{}, err
	}
	d := delivery.Delivery{EventID: q.ID, Type: command, ContentType: mediaJSON, Body: body, Meta: meta}
	if d.EventID == "" {
		d.EventID = ids.New("msg")
	}

	bounded, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	request, err := c.dialect.Request(bounded, d, registry.Subscription{URL: app.URL, Tenant: app.SDKAppID}, now)
	if err != nil {
		return Decision{}, err
	}
	request.GetBody = nil // net/http has no body to send again
	decision, fault := c.exchange(request, q.Packet)
	switch {
	case fault == nil:
		return decision, nil
	case ctx.Err() != nil: // the caller no longer wants an answer
		return Decision{}, fmt.Errorf("tencentchat: question given up: %w", context.Cause(ctx))
	case c.cfg.OnFault == ErrorOnFault:
		return Decision{}, fault
	}
	return byPolicy(c.cfg.OnFault, q.Packet, fault), nil
}

// maxAnswer bounds the body of an answer, which may carry a message.
const maxAnswer = 64 << 10

// exchange sends the request and judges the answer. Every error is a fault.
func (c *Client) exchange(request *http.Request, p event.Packet) (Decision, error) {
	response, err := c.cfg.HTTP.Do(request) //nolint:bodyclose // egress.ReadBounded closes it
	if err != nil {
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err // the text of the outer one holds the URL, and so the Sign
		}
		if timedOut(request.Context(), err) {
			return Decision{}, ErrTimeout
		}
		return Decision{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	body, cut := egress.ReadBounded(response.Body, maxAnswer, maxAnswer)
	switch {
	case response.StatusCode != http.StatusOK:
		return Decision{}, fmt.Errorf("%w: status %d", ErrAnswer, response.StatusCode)
	case cut && request.Context().Err() != nil:
		return Decision{}, ErrTimeout
	case cut:
		return Decision{}, fmt.Errorf("%w: too long or broken off", ErrAnswer)
	}
	return judge(body, p)
}

func timedOut(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}
