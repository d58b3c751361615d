package smartbots

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// A Group is what the application knows of a customer's group.
type Group struct {
	// Name is how the group is listed; a call names it so.
	Name string
	// UUID and ID are told to the developer. ID is persistent and not empty.
	UUID, ID string
	// Code is the digest of the Group Security Code, by [verify.CodeDigest] or
	// [verify.CodeDigestSHA1]: neither the code nor its SHA-1 is kept.
	Code verify.Digest
}

// fingerprint is the group's code as a registration remembers it.
func (g Group) fingerprint() string { return hex.EncodeToString(g.Code[:]) }

// Groups finds groups. It is the application's own and must be safe for
// concurrent use. An error means that it could not find out, not that there is
// no such group. GroupByID is asked before each attempt and must say what is
// true now; to keep unknown groups from being told by time, GroupByName should
// do the same work for both.
type Groups interface {
	GroupByName(ctx context.Context, name string) (g Group, known bool, err error)
	GroupByID(ctx context.Context, id string) (g Group, known bool, err error)
}

// Developers finds the developer that an API key belongs to. [DeveloperKeys]
// is one. It must be safe for concurrent use and must not tell by time how
// much of a key was right. An error means that it could not find out.
type Developers interface {
	Developer(ctx context.Context, apiKey string) (id string, known bool, err error)
}

// A Developer may set callbacks. Both fields are needed.
type Developer struct {
	// ID becomes the tenant of the registrations.
	ID string
	// APIKey proves the developer.
	APIKey registry.Secret
}

// DeveloperKeys are developers in memory. Make it with [NewDeveloperKeys]; the
// zero value knows nobody. It is safe for concurrent use.
type DeveloperKeys struct {
	key [sha256.Size]byte
	ids map[[sha256.Size]byte]string
}

// ErrDevelopers says that a list of developers cannot be used.
var ErrDevelopers = errors.New("smartbots: bad list of developers")

// NewDeveloperKeys digests the keys of the developers and keeps the digests
// alone. One developer may have several keys. An empty ID, an empty key and a
// key of two developers are [ErrDevelopers].
func NewDeveloperKeys(list ...Developer) (*DeveloperKeys, error) {
	k := &DeveloperKeys{ids: make(map[[sha256.Size]byte]string, len(list))}
	_, _ = rand.Read(k.key[:]) // never fails; it ends the program instead
	for i, d := range list {
		if d.ID == "" || d.APIKey.IsZero() {
			return nil, fmt.Errorf("%w: number %d has no ID or no key", ErrDevelopers, i)
		}
		sum := k.digest(d.APIKey.Reveal())
		if id, taken := k.ids[sum]; taken && id != d.ID {
			return nil, fmt.Errorf("%w: %q and %q have the same key", ErrDevelopers, id, d.ID)
		}
		k.ids[sum] = d.ID
	}
	return k, nil
}

// Developer implements [Developers]. The key is looked up by its HMAC under a
// random key of this process, so the time that the look-up takes says nothing
// about the key.
func (k *DeveloperKeys) Developer(_ context.Context, apiKey string) (string, bool, error) {
	id, known := k.ids[k.digest(apiKey)]
	return id, known, nil
}

func (k *DeveloperKeys) digest(apiKey string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, k.key[:])
	mac.Write([]byte(apiKey))
	mac.Sum(sum[:0])
	return sum
}
