package tavus

import (
	"context"
	"net/http"
	"time"
)

// Limits of SendAppMessage. It is not documented whether the rate counts per
// conversation or per API key.
const (
	MaxAppMessage    = 65536 // bytes of a message
	AppMessages      = 120   // requests in AppMessageWindow
	AppMessageWindow = time.Minute
)

// SendAppMessage sends one message of the Interactions Protocol, a JSON object,
// to the PAL of a conversation. It makes one request and retries nothing: after
// a *TransportError that is not Unsent, and after a status of 500 or more other
// than 502, the message may have been delivered. The service delivers messages
// in the order of their requests, so the caller waits for one to return before
// the next.
//
// https://docs.tavus.io/api-reference/conversations/send-app-message
func (c *Client) SendAppMessage(ctx context.Context, conversation string, message []byte) error {
	path, err := item(conversationsPath, conversation)
	if err != nil {
		return err
	}
	return c.try(ctx, call{method: http.MethodPost, path: path + "/send-app-message", message: message}, nil)
}
