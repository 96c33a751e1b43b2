// Package token reads the file that says who may use a gateway.
//
// Each line has the SHA-256 of a bearer token in hexadecimal, what the token may do, and a
// name for the log:
//
//	8c7dd922ad47494fc02c388e12c00eac278d4d84f2e2cc6e16f8a7b5b9b1ff2e create,speak,listen my-app
//
// Empty lines and lines that begin with # are skipped. The file holds only hashes, so whoever
// reads it cannot use the tokens. That is true for random tokens only, so a token has at least
// MinLength characters.
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// MinLength is the shortest token in characters: 128 bits in hexadecimal.
const MinLength = 32

// Scope is something that a token allows.
type Scope string

// The scopes.
const (
	Create Scope = "create" // create conversations, and list all
	Speak  Scope = "speak"  // speak in them, interrupt, send messages, and end them
	Listen Scope = "listen" // follow their events, and read their state
)

// All lists all scopes.
var All = []Scope{Create, Speak, Listen}

// Entry says what one token may do.
type Entry struct {
	Name   string
	Scopes []Scope
	hash   [sha256.Size]byte
}

// Hash returns the hash that the file has for a token.
func Hash(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// Equal compares two hashes in constant time.
func Equal(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// File is a file of tokens. Its methods may be called from any goroutine.
type File struct {
	name string

	mu      sync.Mutex
	entries []Entry
}

// Open reads a file of tokens. An error names the line.
func Open(name string) (*File, error) {
	f := &File{name: name}
	return f, f.Reload()
}

// Reload reads the file again. If it cannot be read, the earlier content stays in force.
func (f *File) Reload() error {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	entries, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = entries
	return nil
}

// Find returns what a token may do. It compares the token with each entry, in a time that does
// not depend on how many characters are right.
func (f *File) Find(secret string) (found Entry, ok bool) {
	hash := Hash(secret)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		if Equal(hash, e.hash) {
			found, ok = e, true
		}
	}
	return found, ok && len(secret) >= MinLength
}

// parse reads the lines of a file.
func parse(text string) (entries []Entry, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if slices.ContainsFunc(entries, func(other Entry) bool { return other.Name == e.Name || other.hash == e.hash }) {
			return nil, fmt.Errorf("line %d: another line has this name or token", n)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("it has no token; a line is: SHA256 %s NAME", scopesText(All))
	}
	return entries, nil
}

func parseLine(line string) (e Entry, err error) {
	words := strings.Fields(line)
	if len(words) != 3 {
		return e, fmt.Errorf("it must be: SHA256 %s NAME", scopesText(All))
	}
	e.Name = words[2]
	hash, err := hex.DecodeString(words[0])
	if err != nil || len(hash) != len(e.hash) {
		return e, fmt.Errorf("the first word must be a SHA-256 in hexadecimal, of %d characters", 2*len(e.hash))
	}
	copy(e.hash[:], hash)
	for word := range strings.SplitSeq(words[1], ",") {
		if !slices.Contains(All, Scope(word)) {
			return e, fmt.Errorf("there is no scope %q; there are %s", word, scopesText(All))
		}
		e.Scopes = append(e.Scopes, Scope(word))
	}
	return e, nil
}

func scopesText(scopes []Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}
