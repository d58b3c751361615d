package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// sealKey is the key that secrets are sealed with at rest.
type sealKey struct {
	bytes   []byte
	file    string // beside the SQLite file; empty: the configuration's, or of this process alone
	missing bool   // there is no such file yet
}

// key returns the configuration's key, the one beside the SQLite file, or a new
// one. A new one is kept only when the store holds nothing under another: see
// proven.
func (c *config) key() (sealKey, error) {
	path, isFile := strings.CutPrefix(c.store, "sqlite:")
	switch {
	case c.secretKey != nil:
		return sealKey{bytes: c.secretKey}, nil
	case !isFile:
		return sealKey{bytes: randomKey()}, nil
	}
	path += ".key"
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return sealKey{randomKey(), path, true}, nil
	}
	if err != nil {
		return sealKey{}, fmt.Errorf("%w: secret_key: the one beside the store: %w", errConfig, err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return sealKey{}, fmt.Errorf("%w: secret_key: takes 32 bytes in base64, %s does not hold them", errConfig, path)
	}
	return sealKey{key, path, false}, nil
}

// wrong says that the store's secrets are sealed with another key.
func (k sealKey) wrong() error {
	what := "this one does not open them"
	switch {
	case k.missing:
		what = "which is missing: " + k.file
	case k.file != "":
		what = "the one in " + k.file + " does not open them"
	}
	return fmt.Errorf("%w: secret_key: takes the key that the store's secrets are sealed with; %s", errConfig, what)
}

// keyCheck is what the value that proves a key is bound to.
const keyCheck = "gateway: key check"

// proven refuses a key that is not the store's before anything is stored under
// it: a security code looks changed under a wrong key. said are the codes of the
// configuration.
func (k sealKey) proven(ctx context.Context, sealer registry.Sealer, reg registry.Registry, codes codeStore, said map[string]verify.Digest) error {
	check, err := codes.check(ctx)
	if err != nil {
		return err
	}
	if check == nil {
		if err := k.fits(ctx, reg, codes, said); err != nil {
			return err
		}
		if err := k.keep(); err != nil {
			return err
		}
		mine, err := sealer.Seal(nil, []byte(keyCheck))
		if err != nil {
			return err
		}
		if check, err = codes.keepCheck(ctx, mine); err != nil { // another gateway's, if it was faster
			return err
		}
	}
	if _, err := sealer.Open(check, []byte(keyCheck)); err != nil {
		return k.wrong()
	}
	return nil
}

// fits judges the key by what a gateway stored that kept no check value: it must
// open every sealed secret. Without any, one of the codes must be as it was.
func (k sealKey) fits(ctx context.Context, reg registry.Registry, codes codeStore, said map[string]verify.Digest) error {
	proof := false
	for s, err := range reg.List(ctx, registry.Filter{}) {
		if errors.Is(err, registry.ErrSealed) {
			return k.wrong()
		}
		if err != nil {
			return err
		}
		proof = proof || len(s.Secrets) > 0
	}
	stored, err := codes.load(ctx)
	if err != nil {
		return err
	}
	other := false
	for id, digest := range said {
		c, known := stored[id]
		proof = proof || known && c.file == digest
		other = other || known && c.file != digest
	}
	if other && !proof {
		return k.wrong()
	}
	return nil
}

// keep writes a new key beside the store, once: whole or not at all.
func (k sealKey) keep() error {
	if !k.missing {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(k.file), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // what is left over is harmless
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(k.bytes))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), k.file)
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails; it ends the program instead
	return key
}
