package redact

import (
	"slices"
	"strings"
	"sync"
)

// shortest is the length of a text that Growing takes for a secret: a shorter one is
// too likely part of ordinary words.
const shortest = 8

// Growing are Secrets that become known one after the other, such as the token of a
// room that a service returns. The zero value has none.
type Growing struct {
	mu    sync.Mutex
	texts []string
	known *Secrets // of texts; nil: it is to be made
}

// Add makes each line of the texts a secret, without the space around it. Lines of
// less than 8 bytes are left out.
func (g *Growing) Add(texts ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) >= shortest && !slices.Contains(g.texts, line) {
				g.texts, g.known = append(g.texts, line), nil
			}
		}
	}
}

// Secrets returns those that were added so far.
func (g *Growing) Secrets() *Secrets {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = New(g.texts...)
	}
	return g.known
}
