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

// Key is an API key. However it is printed, marshalled or logged, it says
// "redacted". The zero Key is no key.
type Key struct {
	// A function, since fmt prints unexported fields without asking their
	// methods, and of a function only its address.
	reveal func() string
}

// NewKey makes a key of text, without the space around it. The error never
// shows the text.
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

// String is "redacted".
func (k Key) String() string { return redacted }

// GoString is "redacted".
func (k Key) GoString() string { return redacted }

// Format writes "redacted", whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText is "redacted", in JSON and wherever else text is marshalled.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is "redacted".
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// fingerprint tells two keys apart and reveals nothing of them.
func (k Key) fingerprint() string {
	sum := sha256.Sum256([]byte("echocast:" + k.secret()))
	return hex.EncodeToString(sum[:4])
}

// redact removes the key from text of a server, which may send back what it was
// sent, plainly or encoded.
func (k Key) redact(text string) string { return redact.New(k.secret()).Text(text) }
