package tencentchat

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// Name is the dialect's name in events, subscriptions and delivery.Config.
const Name = "tencentchat"

// ErrConfig is in the errors of constructors of this package; those about
// tokens and SdkAppids may be package verify's instead.
var ErrConfig = errors.New("tencentchat: bad configuration")

// CommandGroupAttrChanged is that of [event.GroupAttrChanged]. Package event has
// the others.
const CommandGroupAttrChanged = event.CommandGroupAttrChanged

// Timeout bounds one request to an app's backend, as the platform does.
const Timeout = 2 * time.Second

// An App is one application of the console, for either side: the receiver
// needs the id and its tokens, the sender also the URL and the commands.
type App struct {
	// SDKAppID is the app's id in decimal. Needed.
	SDKAppID string
	// Tokens sign the requests, the first one; all of them are accepted. None
	// means that nothing is signed and no signature is checked for this app.
	// An empty token is an error.
	Tokens []registry.Secret
	// Window is how far RequestTime may be from the receiver's clock, to both
	// sides. 0 is verify.DefaultTencentWindow, a minute.
	Window time.Duration

	// URL is where callbacks go. It must have passed the egress policy.
	URL string
	// Commands are the after-commands that are switched on; others are not
	// sent.
	Commands []string
	// Before are the before-commands that are switched on; a [Client] asks no
	// others.
	Before []string
	// Retry sends again, by the standard schedule, what was not accepted. Off
	// is the platform's default.
	Retry bool
}

// Apps knows how the requests of apps are signed. The zero value knows no app.
// It is immutable and safe for concurrent use.
type Apps struct {
	ids   verify.AppID
	known map[string]bool               // SdkAppid → whether it signs
	signs map[string]verify.TencentSign // those that do
}

// NewApps makes the table. No app, an id that is not decimal, an id given
// twice, an empty token and a negative window are errors.
func NewApps(apps ...App) (*Apps, error) {
	a := &Apps{known: make(map[string]bool, len(apps)), signs: make(map[string]verify.TencentSign, len(apps))}
	for _, app := range apps {
		if _, twice := a.known[app.SDKAppID]; twice {
			return nil, fmt.Errorf("%w: SdkAppid %q was given twice", ErrConfig, app.SDKAppID)
		}
		a.known[app.SDKAppID] = len(app.Tokens) > 0
		if app.Window < 0 {
			return nil, fmt.Errorf("%w: SdkAppid %q: the window is negative", ErrConfig, app.SDKAppID)
		}
		if len(app.Tokens) == 0 {
			continue
		}
		keys := make([]verify.Key, len(app.Tokens))
		for i, token := range app.Tokens {
			keys[i] = verify.Key{ID: strconv.Itoa(i), Secret: []byte(token.Reveal())}
		}
		sign, err := verify.NewTencentSign(app.Window, keys...)
		if err != nil {
			return nil, fmt.Errorf("tencentchat: SdkAppid %q: %w", app.SDKAppID, err)
		}
		a.signs[app.SDKAppID] = sign
	}
	ids, err := verify.NewAppID(slices.Collect(maps.Keys(a.known))...)
	if err != nil {
		return nil, err
	}
	a.ids = ids
	return a, nil
}

// Signer returns how the requests of an app are signed, false if it has no
// token. It is what [Dialect.Signer] wants.
func (a *Apps) Signer(sdkAppID string) (verify.TencentSign, bool) {
	s, ok := a.signs[sdkAppID]
	return s, ok
}

// Subscription metadata.
const (
	metaRetry = "retry"
	retryOn   = "on"
)

// NewSubscription returns what an app wants, to be given to Engine.Subscribe.
// Its ID is made of the SdkAppid, so that a second call replaces the first. A
// command that is not sent (a before-command, Push.*), none at all and an id
// that is not decimal are [ErrConfig].
func NewSubscription(app App) (registry.Subscription, error) {
	if _, err := verify.NewAppID(app.SDKAppID); err != nil {
		return registry.Subscription{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(app.Commands) == 0 || app.URL == "" {
		return registry.Subscription{}, fmt.Errorf("%w: SdkAppid %s: URL and Commands are needed", ErrConfig, app.SDKAppID)
	}
	for _, c := range app.Commands {
		if err := checkCommand(c); err != nil {
			return registry.Subscription{}, fmt.Errorf("%w: SdkAppid %s: command %q: %w", ErrConfig, app.SDKAppID, c, err)
		}
	}
	sub := registry.Subscription{
		ID:      "sub_" + Name + "-" + app.SDKAppID,
		Dialect: Name,
		Tenant:  app.SDKAppID,
		URL:     app.URL,
		Types:   slices.Clone(app.Commands),
		Limits:  registry.Limits{Timeout: Timeout},
	}
	if app.Retry {
		sub.Meta = map[string]string{metaRetry: retryOn}
	}
	return sub, nil
}

// IsBefore reports whether a command asks for permission: its answer counts,
// and it is never sent by the delivery engine.
func IsBefore(command string) bool {
	return strings.Contains(command, "CallbackBefore") || strings.Contains(command, "CallbackPrev")
}

// isPush reports whether a command names itself inside Events[].
func isPush(command string) bool { return strings.HasPrefix(command, "Push.") }

// checkCommand reports why a command cannot be an event's type.
func checkCommand(command string) error {
	switch {
	case !wellFormed(command):
		return fmt.Errorf("%w: the command is not 1 to 128 letters, digits, dots, dashes and underscores", delivery.ErrInvalid)
	case IsBefore(command):
		return fmt.Errorf("%w: a before-command is no event", delivery.ErrInvalid)
	case isPush(command):
		return fmt.Errorf("%w: Push.* is not sent", delivery.ErrInvalid)
	}
	return nil
}

const maxCommand = 128

func wellFormed(command string) bool {
	for i := range len(command) {
		switch c := command[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return command != "" && len(command) <= maxCommand
}
