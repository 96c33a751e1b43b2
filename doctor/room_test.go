package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"echocast/doctor"
	"echocast/room/daily"
	_ "echocast/room/livekit"
	rtcdaily "echocast/rtc/daily"

	"echocast/internal/testenv"
)

// examine runs the doctor on a room, and returns its findings by name.
func examine(t *testing.T, o doctor.Options) map[string]doctor.Finding {
	t.Helper()
	t.Setenv("ECHOCAST_STATE_DIR", t.TempDir())
	if o.Daily == nil {
		o.Daily = &daily.Backend{}
	}
	o.Explain = func(err error) error { return err }
	found := map[string]doctor.Finding{}
	for _, f := range doctor.Run(t.Context(), &o) {
		found[f.Name] = f
	}
	return found
}

// A server with web pages is not taken for a LiveKit server, and a fault of this machine is
// reported before possible faults of the network.
func TestLiveKitServerIsRecognised(t *testing.T) {
	for name, c := range map[string]struct {
		answer      http.HandlerFunc
		key         string
		room        doctor.Status
		says        string
		credentials doctor.Status
	}{
		"a page for everything": {func(http.ResponseWriter, *http.Request) {}, "k", doctor.Fail,
			"no LiveKit server", doctor.OK},
		"nothing there": {http.NotFound, "k", doctor.Fail, "answers 404 to /rtc/validate", doctor.OK},
		"LiveKit": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/rtc/validate" {
				http.Error(w, "no permissions to access the room", http.StatusUnauthorized)
			}
		}, "k", doctor.OK, "answers", doctor.OK},
		"no key here": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
			"", doctor.OK, "", doctor.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "" || r.Header.Get("Authorization") != "" {
					t.Errorf("a secret was sent: %v %v", r.URL, r.Header)
				}
				c.answer(w, r)
			}))
			defer server.Close()
			for _, variable := range []string{"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"} {
				t.Setenv(variable, c.key)
			}
			t.Setenv("LIVEKIT_TOKEN", "")
			found := examine(t, doctor.Options{Address: "livekit+ws" + strings.TrimPrefix(server.URL, "http") + "/room",
				Join: c.key == ""})
			if got := found["room"]; got.Status != c.room || !strings.Contains(got.Detail, c.says) {
				t.Errorf("room: %+v", got)
			}
			if got := found["credentials"]; got.Status != c.credentials || got.Status == doctor.Fail &&
				!strings.Contains(got.Detail, "LIVEKIT_") {
				t.Errorf("credentials: %+v", got)
			}
			if got := found["join"]; c.key == "" && (got.Status != doctor.Skip || strings.Contains(got.Detail+got.Fix, "STUN")) {
				t.Errorf("join without credentials: %+v", got)
			}
		})
	}
}

// browser is a stand-in for Chromium, which says its version.
func browser(t *testing.T) string {
	t.Helper()
	return testenv.WriteScript(t, t.TempDir(), "chromium", "echo Chromium 1.2.3")
}

// The CDN is reported as good only if it was asked, and serves what the page checks.
func TestCDNCheck(t *testing.T) {
	script, readErr := os.ReadFile("../rtc/daily/dailytest/node_modules/@daily-co/daily-js/dist/daily.js")
	asked := 0
	serve := func(status int, body []byte) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}))
	}
	for name, c := range map[string]struct {
		status int
		body   []byte
		join   bool
		want   doctor.Status
		says   string
	}{
		"nobody joins":    {200, nil, false, doctor.Skip, "was not asked"},
		"another script":  {200, []byte("alert(1)"), true, doctor.Fail, "serves something else"},
		"it is not there": {404, nil, true, doctor.Fail, "answers 404"},
		"the release":     {200, script, true, doctor.OK, rtcdaily.Integrity},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "the release" && readErr != nil {
				if os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "" {
					t.Fatal("make browser installs daily-js")
				}
				t.Skip("make browser installs daily-js")
			}
			asked = 0
			server := serve(c.status, c.body)
			defer server.Close()
			// Nobody is at the room's address, so that it is not joined.
			found := examine(t, doctor.Options{
				Address: "daily+http://127.0.0.1:1/room", Join: c.join, CDN: server.URL,
				Daily: &daily.Backend{Chromium: browser(t)},
			})
			if got := found["daily-js"]; got.Status != c.want || !strings.Contains(got.Detail, c.says) {
				t.Errorf("daily-js: %+v", got)
			}
			if (asked > 0) != c.join {
				t.Errorf("the CDN was asked %d times", asked)
			}
		})
	}
}
