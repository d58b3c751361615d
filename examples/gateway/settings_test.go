package main_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The secrets of the configuration. Each is long and odd enough to be found
// wherever it leaks.
const (
	adminToken   = "ADMIN-q8Zt0w3LxVb7"
	botsKey      = "BOTSKEY-5kJd91mQ"
	otherBotsKey = "BOTSKEY-2-Yt7Ws3"
	teaCode      = "TEACODE-Ä-b52Rn"
	chessCode    = "CHESSCODE-w71Pz"
	acmeKey      = "ACMEKEY-x4Gh8s"
	acmeHook     = "ACMEHOOK-0123456789abcdef"
	zetaKey      = "ZETAKEY-p93Lk"
	chatToken    = "CHATTOKEN-h6Vq"
	chatToken2   = "CHATTOKEN2-e8Bn"
	teaUUID      = "6f1c5c3a-5d62-4b7e-9b8e-0c2f6f1f7a11"
	chessUUID    = "0a1b2c3d-1111-4222-8333-444455556666"
	chatApp      = "1400000001"
	openApp      = "1400000002" // has no token
)

// settings is a configuration file.
type settings map[string]any

func (s settings) section(name string) settings {
	m, ok := s[name].(settings)
	if !ok {
		m = settings{}
		s[name] = m
	}
	return m
}

func standardSettings() settings {
	return settings{
		"listen":      "127.0.0.1:0",
		"store":       "sqlite:callbacks.db",
		"admin_token": adminToken,
		"outbound":    settings{"allow_networks": []any{"127.0.0.0/8"}, "root_ca": "ca.pem"},
		"smartbots": settings{
			"developers": []any{settings{"id": "dev1", "apikey": botsKey}, settings{"id": "dev2", "apikey": otherBotsKey}},
			"groups": []any{
				settings{"name": "Tea Club", "uuid": teaUUID, "id": "tea-club", "security_code": teaCode},
				settings{"name": "Schach & Go", "uuid": chessUUID, "id": "chess", "security_code_sha1": strings.ToUpper(sha1Hex(chessCode))},
			},
		},
		"edna": settings{"tenants": []any{
			settings{"id": "acme", "api_key": acmeKey, "webhook_key": acmeHook, "channels": []any{234, 235}},
			settings{"id": "zeta", "api_key": zetaKey, "channels": []any{7}},
		}},
		"tencentchat": settings{"apps": []any{
			settings{"sdk_app_id": chatApp, "tokens": []any{chatToken, chatToken2}},
			settings{"sdk_app_id": openApp},
		}},
	}
}

func sha1Hex(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// memory keeps the store out of the file system, for tests that do not restart.
func memory(s settings) { s["store"] = "memory:" }

// configure writes gateway.json and ca.pem into dir and returns dir.
func configure(t *testing.T, dir string, edits ...func(settings)) string {
	t.Helper()
	s := standardSettings()
	for _, edit := range edits {
		edit(s)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"gateway.json": b, "ca.pem": authority} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// secrets is what must appear nowhere but in the configuration file.
type secrets struct {
	mu   sync.Mutex
	list [][]byte
}

func secretsOf(t *testing.T, dir string) *secrets {
	t.Helper()
	s := &secrets{}
	s.add(adminToken, botsKey, otherBotsKey, acmeKey, acmeHook, zetaKey, chatToken, chatToken2)
	s.addCode(teaCode, chessCode)
	return s
}

func (s *secrets) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		s.list = append(s.list, []byte(v))
	}
}

// addCode adds security codes: their SHA-1, as text and as bytes, is as good as
// the code.
func (s *secrets) addCode(codes ...string) {
	for _, c := range codes {
		sum := sha1.Sum([]byte(c))
		s.add(c, hex.EncodeToString(sum[:]), strings.ToUpper(hex.EncodeToString(sum[:])), string(sum[:]))
	}
}

func (s *secrets) check(t *testing.T, where string, text []byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.list {
		if bytes.Contains(text, secret) {
			t.Errorf("%s holds the secret %q", where, secret)
		}
	}
}

// checkFiles looks into every file of dir but the configuration.
func (s *secrets) checkFiles(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "gateway.json" {
			return err
		}
		b, err := os.ReadFile(path)
		s.check(t, d.Name(), b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
