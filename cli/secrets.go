package cli

import (
	"net/url"
	"os"

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

// hideTokenOf makes the token in the address of a room a secret.
func hideTokenOf(address string) {
	if u, err := url.Parse(address); err == nil {
		secrets.Add(u.Query().Get("t"), u.Query().Get("token"))
	}
}

// hidden is text without the secrets. Whatever may repeat what a server or a file
// said passes it on its way to people, and into JSON that tells a failure.
func hidden(words string) string { return secrets.Secrets().Text(words) }

// forPeople is a message on its way to a terminal: without secrets and controls.
func forPeople(words string) string { return text.Printable(hidden(words)) }
