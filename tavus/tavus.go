// Package tavus calls the part of the Tavus REST API that echo mode needs: PALs,
// faces, and conversations, which cost money from their creation to their end.
//
// A [Client] calls the API. [Open] creates a conversation that is sure to be
// ended: by [Conversation.Close], or, if the process died, by [EndMine] in a
// later one. For that, Open writes a small file before it asks for the
// conversation, with the unique name that it asks for.
//
// A call that could create something twice is not retried blindly. Reading,
// ending and deleting are retried when they fail; creating is retried only if
// the service said that it did not create anything. If that is unknown, Open
// looks for a conversation of that name.
//
// In 2026 Tavus renamed personas to PALs and replicas to faces. The client sends
// the new names, or the old ones to a service that does not know the new; it
// reads both.
//
// The shapes are those of docs.tavus.io. Errors and statuses that it does not
// describe are handled by their HTTP meaning.
package tavus
