// Package tavus calls the part of the Tavus REST API that echo mode needs: PALs,
// faces, and conversations, which cost money from their creation to their end.
//
// A [Client] calls the API. [Open] creates a conversation that will certainly be ended:
// by [Conversation.Close] or, if the process died, by [EndMine] in a later one. For
// that, Open writes a small file with the conversation's unique name before it requests
// the conversation.
//
// Calls that could create something twice are not simply retried. Reading, ending and
// deleting are retried when they fail; creating is retried only if the service said
// that it created nothing. If that is unknown, Open looks for a conversation of that
// name.
//
// In 2026 Tavus renamed personas to PALs and replicas to faces. The client sends
// the new names, or the old ones to a service that does not know the new; it
// reads both.
//
// The formats are those of docs.tavus.io. Errors and statuses that it does not describe
// are handled by their HTTP meaning.
package tavus
