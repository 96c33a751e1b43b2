// Package tavus is the part of the Tavus REST API that echo mode needs: PALs,
// faces, and the life of a conversation, which costs money from its creation to
// its end.
//
// A [Client] calls the API. [Open] creates a conversation that is sure to be
// ended: by [Conversation.Close], or, where the process died, by [EndMine] in a
// later one. What makes that possible is a small file, written before the
// conversation is asked for, with the unique name it is asked for under.
//
// Nothing is asked for twice that could then exist twice. Reading, ending and
// deleting are repeated when they fail; creating is repeated only when the
// service said that it did not do it, and where that is unknown the service is
// asked what it has under that name.
//
// In 2026 Tavus renamed personas to PALs and replicas to faces. New names are
// sent, and the old ones where the service does not know the new; both are read.
//
// The shapes are those of docs.tavus.io. Errors and statuses which it does not
// describe are taken by their HTTP meaning.
package tavus
