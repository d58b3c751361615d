package ednapulse

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/ringback-go/ringback/registry"
)

// ErrUnknownKey says that an API key is nobody's.
var ErrUnknownKey = errors.New("ednapulse: unknown API key")

// ErrConfig is in every error of a constructor of this package.
var ErrConfig = errors.New("ednapulse: bad configuration")

// A Tenant is an account with its keys and channels.
type Tenant struct {
	// ID names the tenant in events and subscriptions. Needed.
	ID string
	// APIKey proves the tenant to [API]. Needed in [NewTenants].
	APIKey registry.Secret
	// WebhookKey accompanies the callbacks. The zero Secret is none.
	WebhookKey registry.Secret
	// Channels are the subjectIds of the tenant's channels.
	Channels []int64
}

// Owns reports whether the tenant has the channel.
func (t Tenant) Owns(subjectID int64) bool { return slices.Contains(t.Channels, subjectID) }

// A Directory finds tenants, in a table or a database.
type Directory interface {
	// ByAPIKey returns the tenant whose key it is, or ErrUnknownKey; any other
	// error means that nothing is known. Implementations compare in constant
	// time, or look up by a digest of the key.
	ByAPIKey(ctx context.Context, key string) (Tenant, error)
}

// Tenants is a [Directory] in memory. The zero value knows nobody. It is
// immutable and safe for concurrent use.
type Tenants struct {
	list []Tenant
	sums func() [][sha256.Size]byte // of the API keys; a func, so that no print shows them
	byID map[string]int
}

// NewTenants makes a directory. Keys are 1 to 256 printable ASCII characters
// without spaces; the webhook key may be absent. An empty or repeated id, a key
// of another form and an API key given to two tenants are [ErrConfig].
func NewTenants(tenants ...Tenant) (*Tenants, error) {
	t := &Tenants{byID: make(map[string]int, len(tenants))}
	var sums [][sha256.Size]byte
	for i, tenant := range tenants {
		refused := func(why string) (*Tenants, error) {
			return nil, fmt.Errorf("%w: tenant %d: %s", ErrConfig, i, why)
		}
		_, known := t.byID[tenant.ID]
		switch {
		case tenant.ID == "" || len(tenant.ID) > registry.MaxText:
			return refused("the id is empty or too long")
		case known:
			return refused("the id was given before")
		case !validKey(tenant.APIKey.Reveal()):
			return refused("the API key is not 1 to 256 printable ASCII characters")
		case !tenant.WebhookKey.IsZero() && !validKey(tenant.WebhookKey.Reveal()):
			return refused("the webhook key is not 1 to 256 printable ASCII characters")
		}
		sum := sha256.Sum256([]byte(tenant.APIKey.Reveal()))
		if slices.Contains(sums, sum) {
			return refused("the API key was given before")
		}
		tenant.Channels = slices.Clone(tenant.Channels)
		t.byID[tenant.ID] = i
		t.list, sums = append(t.list, tenant), append(sums, sum)
	}
	t.sums = func() [][sha256.Size]byte { return sums }
	return t, nil
}

// ByAPIKey implements [Directory]. It compares digests with every tenant's, so
// that the time does not tell which of them, or how much of a key, was right.
func (t *Tenants) ByAPIKey(_ context.Context, key string) (Tenant, error) {
	if t.sums == nil || !validKey(key) {
		return Tenant{}, ErrUnknownKey
	}
	sum, match := sha256.Sum256([]byte(key)), -1
	for i, known := range t.sums() {
		match = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], known[:]), i, match)
	}
	if match < 0 {
		return Tenant{}, ErrUnknownKey
	}
	return t.clone(match), nil
}

// ByID returns a tenant.
func (t *Tenants) ByID(id string) (Tenant, bool) {
	i, ok := t.byID[id]
	if !ok {
		return Tenant{}, false
	}
	return t.clone(i), true
}

func (t *Tenants) clone(i int) Tenant {
	tenant := t.list[i]
	tenant.Channels = slices.Clone(tenant.Channels)
	return tenant
}

// WebhookKey returns the webhook key of a tenant, false if it has none. It is
// what [Dialect.Keys] wants.
func (t *Tenants) WebhookKey(tenant string) (registry.Secret, bool) {
	i, ok := t.byID[tenant]
	if !ok || t.list[i].WebhookKey.IsZero() {
		return registry.Secret{}, false
	}
	return t.list[i].WebhookKey, true
}

const maxKey = 256

// validKey reports whether key can stand in a header as one word.
func validKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return key != "" && len(key) <= maxKey
}
