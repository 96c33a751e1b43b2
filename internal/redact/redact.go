// Package redact removes secrets from text that leaves the process: errors, logs, traces
// and JSON. A server may repeat a secret, unchanged or encoded.
package redact

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mark replaces a secret.
const Mark = "redacted"

// shortestCode is the minimum length of the base64 form of a secret. A shorter form would
// match ordinary words.
const shortestCode = 6

// Secrets is a set of texts that must not be shown. The zero value and nil are empty.
// It may be used by several goroutines.
type Secrets struct {
	pattern *regexp.Regexp
}

// New returns the Secrets of these texts. It skips empty texts.
func New(secrets ...string) *Secrets {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	if len(secrets) == 0 {
		return &Secrets{}
	}
	// Longest first, because one secret may be the beginning of another.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var forms []string
	for _, secret := range secrets {
		forms = append(forms, escaped(secret), "(?i:"+hex.EncodeToString([]byte(secret))+")")
		forms = append(forms, inBase64(secret)...)
	}
	return &Secrets{regexp.MustCompile(strings.Join(forms, "|"))}
}

// Text returns text with each secret replaced by Mark. It finds a secret unchanged, in
// hexadecimal, in base64 (also within longer text), and with any of its characters escaped
// as in a URL, a JSON or Go string, or HTML.
func (s *Secrets) Text(text string) string {
	if s == nil || s.pattern == nil {
		return text
	}
	return s.pattern.ReplaceAllLiteralString(text, Mark)
}

// Error returns err with its message redacted by Text. errors.Is and errors.As work as with
// err. If there is nothing to hide, it returns err itself.
func (s *Secrets) Error(err error) error {
	if err == nil {
		return nil
	}
	if text := s.Text(err.Error()); text != err.Error() {
		return &redactedError{text, err}
	}
	return err
}

type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Unwrap() error { return e.cause }

// entities maps characters to their named entities in HTML.
var entities = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\'': "&apos;"}

// escaped returns a pattern that matches the secret with any of its characters escaped.
func escaped(secret string) string {
	var pattern strings.Builder
	for _, c := range secret {
		forms := []string{`\\?` + regexp.QuoteMeta(string(c))}
		if c != utf8.RuneError {
			forms = append(forms, inBytes("%%%02x", c), inBytes(`\\x%02x`, c), fmt.Sprintf(`\\u%04x`, c),
				fmt.Sprintf(`&#0*%d;`, c), fmt.Sprintf(`&#x0*%x;`, c))
		}
		if name := entities[c]; name != "" {
			forms = append(forms, name)
		}
		fmt.Fprintf(&pattern, "(?:%s|(?i:%s))", forms[0], strings.Join(forms[1:], "|"))
	}
	return pattern.String()
}

// inBytes formats each byte of a character with format.
func inBytes(format string, c rune) (all string) {
	for _, b := range []byte(string(c)) {
		all += fmt.Sprintf(format, b)
	}
	return all
}

// inBase64 returns patterns that match the secret in base64, in both alphabets and at any
// offset. They omit the characters that depend on neighbouring bytes.
func inBase64(secret string) (patterns []string) {
	for before := range 3 {
		whole := append(make([]byte, before), secret...)
		first, last := (before*8+5)/6, len(whole)*8/6
		if last-first < shortestCode {
			continue
		}
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			code := encoding.EncodeToString(whole)[first:last]
			patterns = append(patterns, regexp.QuoteMeta(code)+"[A-Za-z0-9+/_-]?=*")
		}
	}
	return patterns
}
