//go:build unix

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The program sends its traces to the collector that --otlp or the environment names, and all
// of them before it exits.
func TestOTLP(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"--otlp", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var sent []byte
			service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				text, err := io.ReadAll(r.Body)
				if err != nil || r.URL.Path != "/v1/traces" {
					t.Errorf("%s: %v", r.URL.Path, err)
				}
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, text...)
			}))
			t.Cleanup(service.Close)
			environment, args := []string{}, []string{"--rehearse"}
			if way == "--otlp" {
				args = append(args, way, service.URL)
			} else {
				environment = append(environment, way+"="+service.URL)
			}
			g := startGateway(t, environment, args...)
			var c created
			if status := g.post(g.url, strings.NewReader("{}"), &c); status != http.StatusCreated {
				t.Fatalf("status %d", status)
			}
			if err := g.program.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := g.program.Wait(); err != nil {
				t.Errorf("the program: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !bytes.Contains(sent, []byte(c.ID)) {
				t.Errorf("of the conversation %s nothing was sent, but %d bytes", c.ID, len(sent))
			}
		})
	}
}
