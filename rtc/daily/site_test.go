package daily

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/rtc/daily/dailytest"
)

// fromCDN joins with a browser to which the server is the CDN.
func fromCDN(t *testing.T, script []byte) error {
	t.Helper()
	room := newRoom(t, dailytest.Options{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != strings.TrimPrefix(CDN, "https://unpkg.com") {
			t.Errorf("the page asks for %s", r.URL)
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(script)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "https://")
	browser := Browser{flags: []chromedp.ExecAllocatorOption{
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("proxy-server", "direct://"),
		chromedp.Flag("host-resolver-rules", "MAP unpkg.com "+address),
	}}
	conn, err := Join(testwait.Context(t), room.URL(),
		patient(Options{Browser: &browser, CallMachine: room.CallMachine()}))
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestDailyJSFromTheCDN(t *testing.T) {
	needBrowser(t)
	script, err := os.ReadFile(localDailyJS)
	if err != nil {
		t.Fatal(err)
	}
	if err := fromCDN(t, script); err != nil {
		t.Error(err)
	}
	if err := fromCDN(t, append(script, ';')); err == nil ||
		!strings.Contains(err.Error(), "daily-js could not be loaded from "+CDN) {
		t.Errorf("a file of another hash: %v", err)
	}
}

func TestPagesAreForTheBrowserOnly(t *testing.T) {
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	address := s.add("secret", newSite(&Options{}, http.NotFoundHandler(), &soundServer{}))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, test := range []struct {
		name, path, host, origin string
		want                     int
	}{
		{"the page", "secret/", "", "", 200},
		{"its script", "secret/page.js", "", "http://" + s.address, 200},
		{"no local daily-js", "secret/daily.js", "", "", 404},
		{"another folder", "secret2/", "", "", 404},
		{"no folder", "", "", "", 404},
		{"a name that points here", "secret/", "example.org", "", 403},
		{"the name of this machine", "secret/", "localhost:" + strings.Split(s.address, ":")[1], "", 403},
		{"a page of another site", "secret/page.js", "", "http://example.org", 403},
		{"a page of another local server", "secret/page.js", "", "http://127.0.0.1:1", 403},
		{"a page without an origin", "secret/page.js", "", "null", 403},
	} {
		request, err := http.NewRequestWithContext(testwait.Context(t), http.MethodGet,
			strings.TrimSuffix(address, "secret/")+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = test.host
		if test.origin != "" {
			request.Header.Set("Origin", test.origin)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s: %s %s", test.name, response.Status, body)
		}
		for _, header := range []string{"Cache-Control: no-store", "X-Content-Type-Options: nosniff",
			"Referrer-Policy: no-referrer"} {
			key, value, _ := strings.Cut(header, ": ")
			if got := response.Header.Get(key); got != value {
				t.Errorf("%s: %s: %q", test.name, key, got)
			}
		}
		if policy := response.Header.Get("Content-Security-Policy"); test.name == "the page" &&
			!strings.HasPrefix(policy, "default-src 'none'; ") {
			t.Errorf("the policy is %q", policy)
		}
	}
	s.remove("secret")
	if s.folders["secret"] != nil {
		t.Error("the folder is still there")
	}
}
