// Package board is the dashboard of the gateway: all conversations live, and one of them with
// its lanes and captions. The page has no special access: it sends the requests that every
// client sends. If a token is needed, the page keeps it in the tab and sends it as a header.
//
// The lanes, the colors and the controls are those of the page of a stand-in replica, from the
// same files.
package board

import (
	"embed"
	"net/http"
	"path"
	"strings"

	"echocast/replica/page"
)

//go:embed static
var static embed.FS

// policy is the content security policy: the page loads its own files only, connects to
// nothing else, and can make no markup from text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Paths are the patterns that Handler serves, in the form that http.ServeMux takes.
var Paths = []string{"GET /{$}", "GET /board/{name}"}

// Handler serves the page at / and its files below /board/. It checks no token: the files hold
// nothing secret.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if name == "" {
			name = "board.html"
		}
		content, ok := file(name)
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", types[path.Ext(name)])
		_, _ = w.Write(content) // an error means that the browser has left
	})
}

// types are the content types of the files.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
}

// file returns a file of the dashboard, or one that it shares with the page of a
// stand-in replica.
func file(name string) ([]byte, bool) {
	if strings.HasPrefix(name, "board.") {
		content, err := static.ReadFile("static/" + name)
		return content, err == nil
	}
	return page.Shared(name)
}
