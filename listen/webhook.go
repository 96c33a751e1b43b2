package listen

import (
	"context"
	"errors"

	"echocast/echo"
	"echocast/webhook"
)

// Webhook is a Source of the callbacks of conversations.
type Webhook struct{ *webhook.Receiver }

// NewWebhook receives callbacks on an address, as webhook.Listen does.
func NewWebhook(address string, o *webhook.Options, say Report) (*Webhook, error) {
	receiver, err := webhook.Listen(address, o)
	if err != nil {
		return nil, err
	}
	say("receiving callbacks on %s", receiver.URL())
	return &Webhook{receiver}, nil
}

// Send fails: callbacks go in one direction only.
func (w *Webhook) Send(context.Context, echo.Message) error {
	return errors.New("a callback cannot be answered with a message; join the room with --to for that")
}
