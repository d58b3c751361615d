package egress

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
)

// defaultParameter is the query parameter of a [Challenge].
const defaultParameter = "challenge"

// Challenge is a [Prover] that asks with GET and a fresh random text in the query, and wants the status
// 200 with that very text as the body. A stranger's server does not do that by chance, and
// middleware.Probe on the other side does. A page that shows everybody's query as it is does, too:
// it proves that the answer was made for this question, not who owns the server.
//
// The zero value proves nothing; Client is needed. Safe for concurrent use.
type Challenge struct {
	Client *Client
	// Parameter names the query parameter, in letters, digits and "-._". Empty is "challenge".
	Parameter string
}

// Prove asks for the echo. Errors are those of [Client.Resolve] and [Client.Do], and [ErrProbe] for
// an answer that is not the echo; [ErrConfig] for a Parameter that is no plain name.
func (p Challenge) Prove(ctx context.Context, rawURL string) (Proof, error) {
	parameter := orDefault(p.Parameter, defaultParameter)
	if !plainName(parameter) {
		return Proof{}, fmt.Errorf("%w: Challenge.Parameter takes letters, digits and -._", ErrConfig)
	}
	u, err := checked(p.Client, rawURL)
	if err != nil {
		return Proof{}, err
	}
	nonce := rand.Text()
	err = p.Client.visit(ctx, u, question{method: http.MethodGet, target: withQuery(u, parameter, nonce)}, func(response *http.Response) error {
		if err := onlyOK(response); err != nil {
			return err
		}
		body, _ := ReadBounded(response.Body, len(nonce)+1, len(nonce)+1) // one more shows that there is more
		if subtle.ConstantTimeCompare(body, []byte(nonce)) != 1 {
			return fmt.Errorf("%w: the challenge did not come back", ErrProbe)
		}
		return nil
	})
	if err != nil {
		return Proof{}, err
	}
	return Proof{URL: u}, nil
}

func plainName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}
