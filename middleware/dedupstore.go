package middleware

import (
	"context"
	"net/http"
	"time"
)

// DedupKey names an id: a digest over the name of the gate and all that tells
// the id apart. It has nothing of the sender's text in it.
type DedupKey [32]byte

// DedupToken proves a claim. Each request makes its own, at random.
type DedupToken [16]byte

// DedupClaim is one request's wish to be the one that handles an id.
type DedupClaim struct {
	Key DedupKey
	// Digest is SHA-256 over the body.
	Digest [32]byte
	Token  DedupToken
	// Lease is how long the claim stands without a Commit or Release.
	Lease time.Duration
}

// DedupState is what a [DedupStore] found.
type DedupState int

const (
	// DedupInProgress: somebody else has the claim. It is the zero value.
	DedupInProgress DedupState = iota
	// DedupClaimed: the claim is the caller's, who calls Commit or Release.
	DedupClaimed
	// DedupDone: the id has been handled, and this is its answer.
	DedupDone
	// DedupConflict: the id is known with another digest.
	DedupConflict
)

// DedupAnswer is what a handler answered.
type DedupAnswer struct {
	Status int
	// Header has the fields that a [Dedup] gate keeps.
	Header http.Header
	Body   []byte
	// Cut says that Header and Body were too much to keep, and are empty.
	Cut bool
}

// DedupResult is the outcome of a claim.
type DedupResult struct {
	State DedupState
	// Answer is that of DedupDone. It belongs to the caller.
	Answer DedupAnswer
}

// DedupRetention says how long an id is kept from its Commit on.
type DedupRetention struct {
	// Keep is how long if there is room.
	Keep time.Duration
	// Least is how long whether there is room or not: a store that has none
	// forgets ids that are older, the oldest first, and otherwise answers
	// ErrFull to new ones.
	Least time.Duration
}

// A DedupStore remembers ids. [MemoryDedup] is the one in memory, package
// sqldedup has one for SQLite and PostgreSQL. It must be safe for concurrent
// use, by several processes if they share it, and bounded.
//
//   - Claim, for an id that is not known, or whose lease or retention is over,
//     stores the claim and answers DedupClaimed, and does so to one caller
//     alone. Otherwise it changes nothing. A Claim that is repeated with its
//     own Token, because its outcome was not known, is DedupClaimed again.
//   - Commit stores the answer of a claim. The claim is the caller's as long
//     as nobody else has claimed the id, also after its lease, unless the store
//     has made room by forgetting a claim whose lease was over; else, and for a
//     claim that was released, it is ErrClaimLost and changes nothing. It may
//     be repeated.
//   - Release forgets a claim, so that the id may be claimed at once. Claims
//     that are committed or lost are ErrClaimLost.
//
// Any other error means that the outcome is not known.
type DedupStore interface {
	Claim(ctx context.Context, c DedupClaim) (DedupResult, error)
	Commit(ctx context.Context, key DedupKey, token DedupToken, a DedupAnswer, r DedupRetention) error
	Release(ctx context.Context, key DedupKey, token DedupToken) error
}
