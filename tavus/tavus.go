// Package tavus calls the part of the Tavus REST API that echo mode needs: PALs, faces, and
// conversations. A conversation costs money from its creation to its end.
//
// A [Client] calls the API. [Open] creates a conversation that will certainly be ended: by
// [Conversation.Close] or, if the process died, by [EndMine] in a later process. To make
// that possible, Open writes a small file with the conversation's unique name before it
// requests the conversation.
//
// Calls that read, end or delete are retried when they fail. Calls that create something
// might create it twice. So they are retried only if the service said that it created
// nothing. If that is unknown, Open looks for a conversation with that name.
//
// In 2026 Tavus renamed personas to PALs and replicas to faces. The client sends the new
// names, or the old names to a service that does not know the new ones. It reads both.
//
// The formats are those of docs.tavus.io. Errors and statuses that are not described there
// have their HTTP meaning.
package tavus
