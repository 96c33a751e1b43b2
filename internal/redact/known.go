package redact

import (
	"net/url"
	"slices"
	"strings"
)

// Known holds the secrets that this process has seen so far. All runs of a command share
// it. Hiding the secret of another run does no harm.
var Known Growing

// Hide returns text with the secrets of Known hidden. Apply it to all text for people, and
// to JSON about a failure, because these may quote a server or a file.
func Hide(text string) string { return Known.Secrets().Text(text) }

// KnowWords adds the secrets in the words of a command line to Known.
func KnowWords(words []string) {
	for _, word := range words {
		if strings.HasPrefix(word, "-") {
			_, word, _ = strings.Cut(word, "=")
		}
		KnowIn(word)
		for part := range strings.SplitSeq(word, ",") { // a word may be a list of URLs
			KnowIn(part)
		}
	}
}

// KnowIn adds to Known the password and the tokens in a URL. It also adds the VALUE of
// NAME=VALUE if the name says that the value is secret.
func KnowIn(word string) {
	u, err := url.Parse(word)
	if err != nil || u.Host == "" {
		if name, value, _ := strings.Cut(word, "="); isSecretName(name) {
			Known.Add(value, strings.TrimPrefix(value, "Bearer "))
		}
		return
	}
	if password, _ := u.User.Password(); password != "" {
		Known.Add(password)
	}
	for name, values := range u.Query() {
		if isSecretName(name) {
			Known.Add(values...)
		}
	}
}

// secretEnds are endings of the names of secrets. For example, access_token ends in token.
var secretEnds = []string{"token", "key", "secret", "password", "signature", "authorization"}

// isSecretName reports whether a parameter or a header with this name contains a secret.
// The parameter t is the meeting token of a Daily room.
func isSecretName(name string) bool {
	hasEnd := func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) }
	return name == "t" || slices.ContainsFunc(secretEnds, hasEnd)
}
