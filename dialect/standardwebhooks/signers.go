package standardwebhooks

import (
	"sync"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// maxSigners bounds what is kept prepared; 10,000 endpoints with a secret each
// and some that rotate fit in.
const maxSigners = 16_384

// signers keeps prepared signers by their secrets.
type signers struct {
	mu   sync.RWMutex
	made *table
}

// table hides its keys: fmt follows no pointer inside of a struct, and so
// shows no secret of a Dialect that is printed.
type table struct {
	bySecret map[registry.Secret]verify.Standard
}

func (s *signers) get(secret registry.Secret) (verify.Standard, error) {
	if signer, ok := s.find(secret); ok {
		return signer, nil
	}
	signer, err := verify.NewStandard(0, verify.Key{Secret: []byte(secret.Reveal())})
	if err != nil {
		return verify.Standard{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = &table{bySecret: make(map[registry.Secret]verify.Standard)}
	}
	if len(s.made.bySecret) >= maxSigners {
		for old := range s.made.bySecret { // any one: it costs a microsecond to make again
			delete(s.made.bySecret, old)
			break
		}
	}
	s.made.bySecret[secret] = signer
	return signer, nil
}

func (s *signers) find(secret registry.Secret) (verify.Standard, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.made == nil {
		return verify.Standard{}, false
	}
	signer, ok := s.made.bySecret[secret]
	return signer, ok
}
