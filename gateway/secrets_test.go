package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"echocast/audio"
	"echocast/echo"
	"echocast/room"
)

// The token in the query of an address is in no error, also if the query has other values.
func TestAddressTokenIsHidden(t *testing.T) {
	const secret = "token-of-the-room"
	inBubble(t, &Options{Backend: func(string) (room.Backend, error) {
		return nil, errors.New("the room refuses " + secret)
	}}, func(t *testing.T, c *client) {
		conversation, err := c.gateway.Create(Spec{To: "wss://room.example/?a=1&token=" + secret + "&t=x"}, Creator{})
		if err != nil {
			t.Fatal(err)
		}
		_ = conversation.WaitJoined(t.Context())
		wantHidden(t, conversation.Info().Error, "the room refuses", secret)
	})
}

// Receipts quote the error that broke the audio without its secrets, even if nothing was sent.
func TestReceiptsHaveNoSecrets(t *testing.T) {
	const secret = "token-of-the-room"
	broken := iotest.ErrReader(errors.New("the source refuses " + secret))
	for _, body := range []io.Reader{broken, io.MultiReader(tone(2), broken)} {
		inBubble(t, nil, func(t *testing.T, c *client) {
			conversation, err := c.gateway.Get(strings.TrimPrefix(c.open(), "/v1/conversations/"))
			if err != nil {
				t.Fatal(err)
			}
			c.gateway.secrets.Add(secret)
			a := Audio{Body: body}
			a.Prepare.Input = &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: echo.DefaultRate, Channels: 1}}
			u, err := conversation.Speak(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			receipt, _ := u.Wait(t.Context())
			wantHidden(t, receipt.Error, "the source refuses", secret)
			synctest.Wait() // the end is noted before it is shown
			entries, _, _ := conversation.history.since(0)
			wantHidden(t, string(fmtJSON(entries)), "the source refuses", secret)
		})
	}
}

func wantHidden(t *testing.T, text, want, secret string) {
	t.Helper()
	if !strings.Contains(text, want) || strings.Contains(text, secret) {
		t.Errorf("got %q, want %q without the secret", text, want)
	}
}
