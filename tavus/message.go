package tavus

import (
	"context"
	"net/http"
	"time"
)

// Limits of SendAppMessage. It is not documented whether the rate applies per conversation
// or per API key.
const (
	MaxAppMessage    = 65536 // bytes of a message
	AppMessages      = 120   // requests in AppMessageWindow
	AppMessageWindow = time.Minute
)

// SendAppMessage sends one message of the Interactions Protocol, a JSON object, to the PAL
// of a conversation. It makes one request and never retries. After a *TransportError that
// is not Unsent, and after a status of 500 or more other than 502, the message may have
// been delivered. The service delivers messages in the order of their requests, so callers
// must wait for one call to return before they make the next.
//
// https://docs.tavus.io/api-reference/conversations/send-app-message
func (c *Client) SendAppMessage(ctx context.Context, conversation string, message []byte) error {
	path, err := item(conversationsPath, conversation)
	if err != nil {
		return err
	}
	return c.try(ctx, call{method: http.MethodPost, path: path + "/send-app-message", message: message}, nil)
}
