package cli

import (
	"net/url"
	"os"
	"slices"
	"strings"

	"echocast/internal/redact"
	"echocast/internal/text"
)

// secrets are those that runs of this process have met so far. They are shared,
// because hiding the secret of another run does no harm.
var secrets redact.Growing

// secretVariables are the variables of the environment that hold secrets.
var secretVariables = []string{
	"TAVUS_API_KEY", "ECHOCAST_ROOM_KEY", "ECHOCAST_ICE_CREDENTIAL", "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN",
	"TWILIO_AUTH_TOKEN",
	"OPENAI_API_KEY", "ELEVENLABS_API_KEY",
}

// hideEnvironment makes the values of secretVariables secrets.
func hideEnvironment() {
	for _, variable := range secretVariables {
		secrets.Add(os.Getenv(variable))
	}
}

// hideTyped makes secrets of what is one in the words of a command line.
func hideTyped(words []string) {
	for _, word := range words {
		if strings.HasPrefix(word, "-") {
			_, word, _ = strings.Cut(word, "=")
		}
		hideIn(word)
	}
}

// hideIn makes secrets of the password and the tokens in a URL, and of the VALUE of
// NAME=VALUE where the name says that it is one.
func hideIn(word string) {
	u, err := url.Parse(word)
	if err != nil || u.Host == "" {
		if name, value, _ := strings.Cut(word, "="); isSecretName(name) {
			secrets.Add(value, strings.TrimPrefix(value, "Bearer "))
		}
		return
	}
	if password, _ := u.User.Password(); password != "" {
		secrets.Add(password)
	}
	for name, values := range u.Query() {
		if isSecretName(name) {
			secrets.Add(values...)
		}
	}
}

// secretEnds are the ends of the names of secrets, such as access_token.
var secretEnds = []string{"token", "key", "secret", "password", "signature", "authorization"}

// isSecretName reports whether a parameter or a header of this name has a secret. t is
// the meeting token of a Daily room.
func isSecretName(name string) bool {
	hasEnd := func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) }
	return name == "t" || slices.ContainsFunc(secretEnds, hasEnd)
}

// hidden is text without the secrets. Whatever may repeat what a server or a file
// said passes it on its way to people, and into JSON that tells a failure.
func hidden(words string) string { return secrets.Secrets().Text(words) }

// forPeople is a message on its way to a terminal: without secrets and controls.
func forPeople(words string) string { return text.Printable(hidden(words)) }
