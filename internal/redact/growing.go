package redact

import (
	"slices"
	"strings"
	"sync"
)

// shortest is the minimum length in bytes of a text that Growing treats as a secret.
// Shorter texts are too likely to be part of ordinary words.
const shortest = 8

// Growing is a set of secrets to which more can be added, for example the room token that a
// service returns. The zero value is empty.
type Growing struct {
	mu    sync.Mutex
	texts []string
	known *Secrets // of texts; nil: not computed yet
}

// Add adds each line of the texts, without surrounding space, as a secret. It skips
// lines of less than 8 bytes.
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

// Secrets returns the secrets added so far.
func (g *Growing) Secrets() *Secrets {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = New(g.texts...)
	}
	return g.known
}
