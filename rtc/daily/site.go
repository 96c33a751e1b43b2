package daily

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// CDN is the address from which the page loads daily-js, as Daily's own samples do.
const CDN = "https://unpkg.com/@daily-co/daily-js@" + Version + "/dist/daily.js"

// The hosts that a call needs, according to Daily's guide to networks and firewalls.
const dailyHosts = "https://*.daily.co wss://*.daily.co " +
	"https://*.dailywebrtc.com wss://*.dailywebrtc.com " +
	"https://*.dailywebrtc.net wss://*.dailywebrtc.net " +
	"https://*.pluot.blue wss://*.pluot.blue"

//go:embed page.html
var pageHTML string

//go:embed page.js
var pageJS []byte

//go:embed microphone.js
var microphoneJS []byte

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// newSite serves the folder of one page: the page, its script, daily-js if it is a
// local file, and the handlers for offers of its peer connections.
func newSite(o *Options, link, audio http.Handler) http.Handler {
	var page bytes.Buffer
	script := struct{ DailyJS, Integrity string }{CDN, Integrity}
	if o.DailyJS != "" {
		script.DailyJS, script.Integrity = "daily.js", ""
	}
	if err := pageTemplate.Execute(&page, script); err != nil {
		panic("internal error: " + err.Error()) // a template and two strings
	}
	policy := contentPolicy(o)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.Bytes())
	})
	for path, script := range map[string][]byte{"GET /page.js": pageJS, "GET /microphone.js": microphoneJS} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			_, _ = w.Write(script)
		})
	}
	if o.DailyJS != "" {
		mux.HandleFunc("GET /daily.js", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			http.ServeFile(w, r, o.DailyJS)
		})
	}
	mux.Handle("/link/", http.StripPrefix("/link", link))
	mux.Handle("POST /audio", audio)
	return mux
}

// contentPolicy returns the Content-Security-Policy of the page. daily-js needs
// unsafe-eval to run its call machine.
func contentPolicy(o *Options) string {
	scripts, connects := "'self' 'unsafe-eval' blob:", "'self' "+dailyHosts
	if o.DailyJS == "" {
		scripts += " " + CDN
	}
	if machine, err := url.Parse(o.CallMachine); err == nil && machine.Host != "" {
		sockets := "ws" + strings.TrimPrefix(machine.Scheme, "http")
		connects += " " + machine.Scheme + "://" + machine.Host + " " + sockets + "://" + machine.Host
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + scripts,
		"connect-src " + connects,
		"worker-src 'self' blob:",
		"media-src 'self' blob: mediastream:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}
