package daily

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Timeouts for the browser.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	idleTimeout    = 30 * time.Second
)

// server serves the pages of one browser on 127.0.0.1, each in a folder whose
// name only that page knows.
type server struct {
	http    http.Server
	address string // host:port
	tasks   sync.WaitGroup

	mu      sync.Mutex
	folders map[string]http.Handler
}

func newServer() (*server, error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no server for the page: %v", err)
	}
	s := &server{address: socket.Addr().String(), folders: make(map[string]http.Handler)}
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState:         s.count,
	}
	s.tasks.Go(func() { _ = s.http.Serve(socket) })
	return s, nil
}

// count lets close wait for net/http's goroutines.
func (s *server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.tasks.Add(1)
	case http.StateClosed:
		s.tasks.Done()
	}
}

// close ends the server and waits for its goroutines.
func (s *server) close() {
	_ = s.http.Close()
	s.tasks.Wait()
}

// add serves a folder, and returns its address, which ends in a slash.
func (s *server) add(secret string, folder http.Handler) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders[secret] = http.StripPrefix("/"+secret, folder)
	return "http://" + s.address + "/" + secret + "/"
}

func (s *server) remove(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.folders, secret)
}

// ServeHTTP serves only the page itself. It refuses pages of other sites: they have another
// Origin, or another Host if their name was made to point here, and they cannot know the
// folder.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for key, value := range map[string]string{
		"Cache-Control":                "no-store",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		w.Header().Set(key, value)
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin != "http://"+s.address {
			http.Error(w, "not for this origin", http.StatusForbidden)
			return
		}
	}
	if r.Host != s.address {
		http.Error(w, "not for this host", http.StatusForbidden)
		return
	}
	secret, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	folder := s.folders[secret]
	s.mu.Unlock()
	if folder == nil {
		http.NotFound(w, r)
		return
	}
	folder.ServeHTTP(w, r)
}
