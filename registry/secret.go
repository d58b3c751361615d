package registry

import "log/slog"

const redacted = "***"

// A Secret is key material that shows as "***" wherever it is printed, logged
// or marshaled. The zero value is the empty secret. Secrets are immutable.
type Secret struct{ value string }

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the key material, for signing and sealing only.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == "" }

// String returns "***".
func (Secret) String() string { return redacted }

// GoString returns "***", so that %#v shows nothing either.
func (Secret) GoString() string { return redacted }

// LogValue returns "***".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "***": stores seal secrets, they never marshal them.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
