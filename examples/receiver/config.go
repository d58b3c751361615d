package main

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// config is the file. It holds secrets: let nobody but the program read it. Where
// there is a list, several count while one is replaced.
type config struct {
	Listen  string         `json:"listen"`  // an address; TLS is the matter of a proxy in front
	Host    string         `json:"host"`    // by which senders know us
	Proxies []netip.Prefix `json:"proxies"` // ours, which append to X-Forwarded-For; none where there is none
	Data    string         `json:"data"`    // a folder
	Forward string         `json:"forward"` // the URL that gets what came in

	Standard []string `json:"standard"`
	Origins  []string `json:"origins"` // who may ask for the CloudEvents handshake
	GitHub   []string `json:"github"`
	Stripe   []string `json:"stripe"`
	Slack    []string `json:"slack"`
	Shopify  []string `json:"shopify"`
	Tencent  struct {
		App    string   `json:"app"`
		Tokens []string `json:"tokens"`
	} `json:"tencent"`
	SmartBots string            `json:"smartbots"`
	Edna      []string          `json:"edna"`
	Signed    map[string]string `json:"signed"` // by keyid
}

func readConfig(path string) (config, error) {
	var c config
	if path == "" {
		return c, errors.New("no configuration: name the file by -config or RECEIVER_CONFIG")
	}
	file, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer file.Close()
	dec := json.NewDecoder(file)
	dec.DisallowUnknownFields() // a misspelled secret is none
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("%s: there is something behind the object", path)
	}
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:8080")
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

// check names all that is missing at once. What a secret must look like the
// schemes say themselves.
func (c config) check() error {
	var missing []error
	for _, s := range []struct {
		name   string
		values []string
		hint   string
	}{
		{"host", []string{c.Host}, "the name that senders call, such as hooks.example.com"},
		{"data", []string{c.Data}, "a folder that survives a restart"},
		{"forward", []string{c.Forward}, "the URL of ours that gets what came in"},
		{"standard", c.Standard, "the sender's whsec_… or whpk_…"},
		{"origins", c.Origins, "by which senders of CloudEvents name themselves, such as eventgrid.azure.net"},
		{"github", c.GitHub, "the secret typed in at Settings, Webhooks"},
		{"stripe", c.Stripe, "the endpoint's signing secret, whsec_ included"},
		{"slack", c.Slack, "the app's signing secret"},
		{"shopify", c.Shopify, "the app's client secret"},
		{"tencent.app", []string{c.Tencent.App}, "the SdkAppid of the console"},
		{"tencent.tokens", c.Tencent.Tokens, "the callback token of the console; without one nothing would be checked"},
		{"smartbots", []string{c.SmartBots}, "the app_uuid given at registration"},
		{"edna", c.Edna, "the webhook key of the account"},
	} {
		if len(s.values) == 0 || slices.Contains(s.values, "") {
			missing = append(missing, fmt.Errorf("%q is missing or empty: put in %s", s.name, s.hint))
		}
	}
	if len(c.Signed) == 0 {
		missing = append(missing, errors.New(`"signed" is missing or empty: put in {"keyid": "the sender's ed25519 public key in base64"}`))
	}
	return errors.Join(missing...)
}

// keys are secrets as a scheme takes them.
func keys(secrets []string) []verify.Key {
	out := make([]verify.Key, len(secrets))
	for i, s := range secrets {
		out[i] = verify.Key{ID: strconv.Itoa(i), Secret: []byte(s)}
	}
	return out
}

// tokens are secrets as a dialect takes them.
func tokens(secrets []string) []registry.Secret {
	out := make([]registry.Secret, len(secrets))
	for i, s := range secrets {
		out[i] = registry.NewSecret(s)
	}
	return out
}

func publicKeys(signed map[string]string) ([]httpsig.Key, error) {
	var out []httpsig.Key
	for id, text := range signed {
		public, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("the key %q is not the base64 of 32 bytes", id)
		}
		out = append(out, httpsig.Key{ID: id, Algorithm: httpsig.Ed25519, Public: ed25519.PublicKey(public)})
	}
	return out, nil
}
