package daily

import "sync"

// inboxLimit is how many bytes may wait for Receive. Tavus sends some kilobytes
// a second at most, so a sender that never receives is warned after hours.
const inboxLimit = 8 << 20

// inbox queues received messages. Adding a message never blocks: the page's replies to Send
// arrive on the same channel.
type inbox struct {
	more chan struct{} // one slot, filled when there is a message

	mu       sync.Mutex
	messages [][]byte
	size     int
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

// put adds a message, or reports false if the inbox is full.
func (b *inbox) put(message []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size+len(message) > inboxLimit {
		return false
	}
	b.messages = append(b.messages, message)
	b.size += len(message)
	select {
	case b.more <- struct{}{}:
	default:
	}
	return true
}

// take returns the oldest message, if there is one.
func (b *inbox) take() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == 0 {
		return nil, false
	}
	message := b.messages[0]
	b.messages[0] = nil
	b.messages = b.messages[1:]
	b.size -= len(message)
	return message, true
}
