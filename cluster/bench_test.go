package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkKeep measures the cost of a conversation in NATS, with a server in this process and
// with one by a socket:
//
//	go test ./cluster -run '^$' -bench .
func BenchmarkKeep(b *testing.B) {
	for _, kind := range []string{"embedded", "socket"} {
		b.Run(kind, func(b *testing.B) {
			o := Options{Servers: Embedded, Dir: b.TempDir(), TTL: time.Minute}
			if kind == "socket" {
				o = Options{Servers: startNATS(b), TTL: time.Minute}
			}
			c, err := Open(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }() // never fails
			h, err := c.Create(b.Context(), "c1")
			if err != nil {
				b.Fatal(err)
			}
			ctx, event, audio := context.Background(), make([]byte, 300), make([]byte, 2400)
			for name, keep := range map[string]func() error{
				"events":   func() error { return h.Append(ctx, event) },
				"audio":    func() error { return h.AddAudio(ctx, "u1", audio) },
				"progress": func() error { return h.SaveProgress(ctx, []byte("{}")) },
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						if err := keep(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkStart measures how long a node with NATS in its process takes to start.
func BenchmarkStart(b *testing.B) {
	n := 0
	for b.Loop() {
		c, err := Open(b.Context(), Options{Servers: Embedded, Dir: fmt.Sprintf("%s/%d", b.TempDir(), n)})
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close() // never fails
		n++
	}
}
