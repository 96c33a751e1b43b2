package tavus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"echocast/internal/redact"
)

const redacted = redact.Mark

// Key is an API key. It is printed, marshalled and logged as "redacted". The zero Key means
// no key.
type Key struct {
	// It is a function because fmt prints unexported fields without calling their methods.
	// Of a function, fmt prints only the address.
	reveal func() string
}

// NewKey makes a key from text, without the surrounding space. Its errors never contain the
// text.
func NewKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Key{}, errors.New("the API key is empty")
	}
	if strings.IndexFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0 {
		return Key{}, errors.New("the API key has a space, a line break or another character that no key has")
	}
	return Key{func() string { return text }}, nil
}

func (k Key) secret() string {
	if k.reveal == nil {
		return ""
	}
	return k.reveal()
}

// String returns "redacted".
func (k Key) String() string { return redacted }

// GoString returns "redacted".
func (k Key) GoString() string { return redacted }

// Format writes "redacted" for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "redacted", for JSON and other text formats.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "redacted".
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// fingerprint identifies a key without revealing anything about it.
func (k Key) fingerprint() string {
	sum := sha256.Sum256([]byte("echocast:" + k.secret()))
	return hex.EncodeToString(sum[:4])
}

// redact removes the key from a server's text, which may repeat it unchanged or encoded.
func (k Key) redact(text string) string { return redact.New(k.secret()).Text(text) }
