package cli_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"echocast/cli"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/rtc/daily"
	"echocast/rtc/daily/core"
	"echocast/tavus/tavustest"
)

// finding is a check of doctor --json.
type finding struct{ Name, Status, Detail, Fix string }

// doctor runs the command and returns its checks by name.
func doctor(t *testing.T, args ...string) (map[string]finding, result) {
	t.Helper()
	r := call(t, append([]string{"doctor", "--json"}, args...)...)
	var report struct {
		Version string
		OK      *bool
		Checks  []finding
		Verdict []struct {
			Name, Missing, Line string
			Ready               bool
		}
	}
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || decoder.More() || report.Version != cli.Version ||
		report.OK == nil || *report.OK != (r.code == 0) {
		t.Fatalf("%v: %+v", err, r)
	}
	checks := map[string]finding{}
	for _, f := range report.Checks {
		if _, twice := checks[f.Name]; twice {
			t.Errorf("%s is checked twice", f.Name)
		}
		if checks[f.Name] = f; f.Status == "fail" && f.Fix == "" {
			t.Errorf("nobody says what to do: %+v", f)
		}
	}
	return checks, r
}

// browser is a stand-in for a browser. It only prints its version.
func browser(t *testing.T) string {
	t.Helper()
	return testenv.WriteScript(t, t.TempDir(), "chromium", "echo Chromium 1.2.3")
}

// In a good account all checks pass, and nothing is created or spoken.
func TestDoctorFindsNoFault(t *testing.T) {
	server, state := account(t)
	server.AddPAL("p1", "r1234567890a", "echo", nil)
	server.Add("somebody else's")
	checks, r := doctor(t, "--pal", "p1", "--chromium", browser(t))
	for name, want := range map[string]finding{
		"state directory":    {Status: "ok", Detail: state + " can be written"},
		"left conversations": {Status: "ok", Detail: "none"},
		"API key":            {Status: "ok", Detail: "valid; 1 conversation open"},
		"clock":              {Status: "ok", Detail: "within 5s"},
		"PAL":                {Status: "ok", Detail: "p1, in echo mode"},
		"face":               {Status: "ok", Detail: "r1234567890a, of the PAL, ready"},
		"made-up greeting":   {Status: "ok", Detail: "none"},
		"own Daily room":     {Status: "skip", Detail: "not asked"},
		"libsoxr":            {},
		"libmpg123":          {},
		"ffmpeg":             {},
		"transport":          {Status: "ok", Detail: "requests to the REST API, since a PAL is named"},
		"browser":            {Status: "ok", Detail: "/chromium: Chromium 1.2.3"},
		"daily-js":           {Status: "skip", Detail: "was not asked"},
		"room":               {Status: "skip", Fix: "give --to URL"},
	} {
		got, ok := checks[name]
		if !ok || want.Status != "" && got.Status != want.Status || !strings.Contains(got.Detail, want.Detail) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		delete(checks, name)
	}
	if r.code != 0 || r.stderr != "" || len(checks) != 0 {
		t.Errorf("%+v; more: %v", r, checks)
	}
	for _, request := range server.Requests() {
		if request.Method != http.MethodGet {
			t.Errorf("it did %+v", request)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(state, "*")); len(files) != 0 || len(server.Complaints()) != 0 {
		t.Errorf("it left %v; complaints %v", files, server.Complaints())
	}
	text := call(t, "doctor", "--pal", "p1", "--chromium", browser(t))
	if text.code != 0 || strings.Count(text.stdout, "\n") != 17 ||
		!strings.HasSuffix(text.stdout, "\nready for a conversation with a PAL: echocast send --pal p1 speech.wav\n") ||
		!strings.HasPrefix(text.stdout, "ok    state directory     ") {
		t.Errorf("%+v", text)
	}
}

// A fault is reported with its exit code, and the checks that are still possible run.
func TestDoctorReportsFaults(t *testing.T) {
	microphone := map[string]any{
		"transport": map[string]any{"input_settings": map[string]any{"microphone": map[string]any{"isEnabled": true}}}}
	livekit := map[string]any{"transport": map[string]any{"transport_type": "livekit"}}
	nobody := httptest.NewServer(nil)
	nobody.Close()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v2/") && (r.URL.RawQuery != "" || r.Header.Get("Authorization") != "") {
			t.Errorf("a secret was sent: %v %v", r.URL, r.Header)
		}
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(404)
		case "/broken":
			w.WriteHeader(503)
		}
	}))
	defer failing.Close()
	for name, c := range map[string]struct {
		arrange func(t *testing.T, s *tavustest.Server)
		args    []string
		check   string
		want    finding
		code    int
	}{
		"a wrong key": {func(_ *testing.T, s *tavustest.Server) { s.Key = "another" }, nil, "API key",
			finding{Status: "fail", Detail: "401 Unauthorized: Invalid access token", Fix: "check the API key"}, 4},
		"the PAL then": {func(_ *testing.T, s *tavustest.Server) { s.Key = "another" }, []string{"--pal", "p1"},
			"PAL", finding{Status: "skip", Detail: "not checked: needs a valid API key"}, 4},
		"a mirror": {func(_ *testing.T, s *tavustest.Server) { s.Fail(tavustest.Fault{Mirror: true, Status: 403}) },
			nil, "API key", finding{Status: "fail", Detail: "redacted"}, 4},
		"no service": {nil, []string{"--base-url", nobody.URL}, "API key",
			finding{Status: "fail", Detail: "connection refused", Fix: "--base-url"}, 5},
		"another's site": {nil, []string{"--base-url", failing.URL}, "API key",
			finding{Status: "fail", Detail: "not the JSON", Fix: "not the Tavus API"}, 4},
		"an empty key": {func(t *testing.T, _ *tavustest.Server) { t.Setenv("TAVUS_API_KEY", " ") }, nil,
			"API key", finding{Status: "fail", Detail: "is empty", Fix: "TAVUS_API_KEY"}, 2},
		"no key": {func(t *testing.T, _ *tavustest.Server) { unset(t, "TAVUS_API_KEY") }, nil, "API key",
			finding{Status: "skip", Fix: "set TAVUS_API_KEY"}, 0},
		"no key, a PAL": {func(t *testing.T, _ *tavustest.Server) { unset(t, "TAVUS_API_KEY") }, []string{"--pal", "p1"},
			"API key", finding{Status: "fail", Fix: "TAVUS_API_KEY"}, 2},

		"a clock behind": {func(_ *testing.T, s *tavustest.Server) { s.Skew = time.Minute }, nil, "clock",
			finding{Status: "warn", Detail: "this machine is 1m", Fix: "NTP"}, 0},
		"a clock ahead": {func(_ *testing.T, s *tavustest.Server) { s.Skew = -time.Minute }, nil, "clock",
			finding{Status: "warn", Detail: "ahead of the service", Fix: "NTP"}, 0},
		"a clock far ahead": {func(_ *testing.T, s *tavustest.Server) { s.Skew = -time.Hour }, nil, "clock",
			finding{Status: "fail", Detail: "1h0m0s ahead", Fix: "NTP"}, 1},

		"no such PAL": {nil, []string{"--pal", "p0"}, "PAL",
			finding{Status: "fail", Detail: "404 Not Found", Fix: "check the id"}, 4},
		"a PAL that thinks": {pal("p1", "full", nil), []string{"--pal", "p1"}, "PAL",
			finding{Status: "warn", Detail: `the mode "full"`, Fix: "pal create --echo"}, 0},
		"an echo greets not": {pal("p1", "echo", nil), []string{"--pal", "p1"}, "made-up greeting",
			finding{Status: "ok", Detail: "none: a PAL in echo mode"}, 0},
		"a PAL that greets": {pal("p1", "full", nil), []string{"--pal", "p1"}, "made-up greeting",
			finding{Status: "ok", Detail: "possible"}, 0},
		"an account's own room": {nil, nil, "own Daily room", finding{Status: "skip", Detail: "not asked"}, 0},
		"a PAL that hears": {pal("p1", "echo", microphone), []string{"--pal", "p1"}, "PAL",
			finding{Status: "warn", Detail: "microphone layer on", Fix: "without --microphone"}, 0},
		"a PAL for LiveKit": {pal("p1", "echo", livekit), []string{"--pal", "p1"}, "PAL",
			finding{Status: "warn", Detail: "LiveKit rooms only", Fix: "--to livekit+wss"}, 0},
		"a PAL for tracks": {pal("pipecat-stream", "full", nil), []string{"--pal", "pipecat-stream"},
			"PAL", finding{Status: "warn", Detail: "audio track", Fix: "pal create --echo"}, 0},
		"a PAL of the old": {func(t *testing.T, s *tavustest.Server) { s.OldNames = true; pal("p1", "echo", nil)(t, s) },
			[]string{"--pal", "p1"}, "face", finding{Status: "ok", Detail: "of the PAL, ready"}, 0},
		"no such face": {nil, []string{"--face", "r0"}, "face",
			finding{Status: "fail", Detail: "404 Not Found", Fix: "check the id"}, 4},
		"a face in training": {func(_ *testing.T, s *tavustest.Server) { s.FaceStatus = "started" },
			[]string{"--face", "r1234567890a"}, "face", finding{Status: "warn", Detail: `status is "started"`, Fix: "wait"}, 0},
		"a face that failed": {func(_ *testing.T, s *tavustest.Server) { s.FaceStatus = "error" },
			[]string{"--face", "r1234567890a"}, "face", finding{Status: "fail", Detail: "training failed", Fix: "another"}, 1},
		"no browser": {nil, []string{"--to", "daily+" + failing.URL, "--chromium", "/none"}, "transport",
			finding{Status: "fail", Detail: "no Chromium at /none: install it", Fix: "no Daily room"}, 5},
		"no browser, no need": {nil, []string{"--chromium", "/none"}, "browser",
			finding{Status: "skip", Detail: "no Chromium at /none"}, 0},
		"no library": {nil, []string{"--to", "daily+" + failing.URL, "--daily-core", "/none"}, "transport",
			finding{Status: "fail", Detail: "--daily-core /none: no such file", Fix: "no Daily room"}, 2},
		"another daily-js": {nil, []string{"--daily-js", "doctor_test.go"}, "daily-js",
			finding{Status: "warn", Detail: "is not release", Fix: "use that"}, 0},
		"no daily-js": {nil, []string{"--daily-js", "/none"}, "daily-js",
			finding{Status: "fail", Detail: "/none: no such file", Fix: "correct --daily-js"}, 5},

		"a room that answers": {nil, []string{"--to", failing.URL + "/?t=canary-5f0c1d"}, "room",
			finding{Status: "ok", Detail: "127.0.0.1:"}, 0},
		"a room that is over": {nil, []string{"--to", failing.URL + "/gone?t=canary-5f0c1d"}, "room",
			finding{Status: "warn", Detail: "answers 404", Fix: "--join"}, 0},
		"a room in trouble": {nil, []string{"--to", failing.URL + "/broken"}, "room",
			finding{Status: "fail", Detail: "answers 503", Fix: "later"}, 5},
		"a room of nobody": {nil, []string{"--to", nobody.URL}, "room",
			finding{Status: "fail", Detail: "connection refused", Fix: "check the address"}, 5},
		"a room that is none": {nil, []string{"--to", "ftp://127.0.0.1"}, "room",
			finding{Status: "fail", Detail: "not the address of a room", Fix: "https://"}, 2},
		"LiveKit, not there": {nil, []string{"--to", "livekit+wss" + strings.TrimPrefix(nobody.URL, "http") + "/room"},
			"room", finding{Status: "fail", Detail: "connection refused"}, 5},
		"join, nobody there": {nil, []string{"--join", "--to", nobody.URL}, "join",
			finding{Status: "skip", Detail: "does not answer"}, 5},
		"join, no replica": {nil, []string{"--join", "--to", failing.URL}, "join",
			finding{Status: "fail", Detail: "the server answered 200 OK", Fix: "--ice-server"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := account(t)
			if c.arrange != nil {
				c.arrange(t, server)
			}
			checks, r := doctor(t, append([]string{"--chromium", browser(t)}, c.args...)...)
			got := checks[c.check]
			if got.Status != c.want.Status || !strings.Contains(got.Detail, c.want.Detail) ||
				!strings.Contains(got.Fix, c.want.Fix) || r.code != c.code {
				t.Errorf("code %d, %+v\nwant %d, %+v\nall: %s", r.code, got, c.code, c.want, r.stdout)
			}
			if lines := strings.Count(r.stderr, "\n"); lines > 1 && name != "no service" || lines == 0 && c.code != 0 {
				t.Errorf("stderr: %s", r.stderr)
			}
			if len(server.Complaints()) > 0 {
				t.Error(server.Complaints())
			}
		})
	}
}

func pal(id, mode string, layers map[string]any) func(*testing.T, *tavustest.Server) {
	return func(_ *testing.T, s *tavustest.Server) { s.AddPAL(id, "r1234567890a", mode, layers) }
}

// unset removes a variable until the test ends.
func unset(t *testing.T, name string) {
	t.Setenv(name, "")
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

// Conversations of a dead process are reported, with the command that ends them; those of a
// living one are left alone.
func TestDoctorReportsLeftoverConversations(t *testing.T) {
	server, state := account(t)
	if r := call(t, "conversation", "create", "--pal", "p1"); r.code != 0 {
		t.Fatal(r)
	}
	checks, r := doctor(t)
	if got := checks["left conversations"]; got.Status != "ok" ||
		!strings.Contains(got.Detail, "1 conversation of processes that run") || r.code != 0 {
		t.Errorf("%+v", got)
	}
	files, err := filepath.Glob(filepath.Join(state, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0] + ".lock"); err != nil { // as if the process that held it had died
		t.Fatal(err)
	}
	checks, r = doctor(t)
	if got := checks["left conversations"]; got.Status != "warn" || r.code != 0 ||
		!strings.Contains(got.Detail, "1 conversation of ended processes may still be open") ||
		got.Fix != "run: echocast conversation end-mine" {
		t.Errorf("%+v", got)
	}
	if len(server.Open()) != 1 {
		t.Error("it was ended")
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	checks, _ = doctor(t)
	if got := checks["left conversations"]; got.Status != "warn" || !strings.Contains(got.Detail, files[0]) {
		t.Errorf("%+v", got)
	}
	t.Setenv("ECHOCAST_STATE_DIR", filepath.Join(files[0], "below a file"))
	checks, r = doctor(t)
	if got := checks["state directory"]; got.Status != "fail" || !strings.Contains(got.Fix, "ECHOCAST_STATE_DIR") ||
		r.code != 1 {
		t.Errorf("%+v, code %d", got, r.code)
	}
}

// doctor joins a replica of echocast and finds it; the room key is printed nowhere.
func TestDoctorJoinsPeer(t *testing.T) {
	_, _ = account(t)
	r := startRemote(t)
	key := write(t, "key", []byte(roomKey))
	checks, all := doctor(t, "--join", "--to", r.url, "--tls-ca", r.authority, "--room-key-file", key)
	for _, name := range []string{"transport", "room", "join", "message limit", "replica"} {
		if checks[name].Status != "ok" {
			t.Errorf("%s: %+v", name, checks[name])
		}
	}
	if all.code != 0 || strings.Contains(all.stdout+all.stderr+r.stderr.String(), "canary") {
		t.Errorf("%+v; %s", all, r.stderr.String())
	}
	checks, all = doctor(t, "--join", "--to", r.url, "--tls-ca", r.authority)
	if got := checks["join"]; all.code != 4 || got.Status != "fail" ||
		!strings.Contains(got.Detail, "the room key is missing or wrong") {
		t.Errorf("%+v, code %d", got, all.code)
	}
	checks, all = doctor(t, "--to", r.url)
	if got := checks["room"]; all.code != 5 || got.Status != "fail" || !strings.Contains(got.Detail, "--tls-ca") {
		t.Errorf("%+v, code %d", got, all.code)
	}
}

// A live check costs money, so it needs --yes as well; it ends what it created and prints a
// report without key and ids.
func TestDoctorLive(t *testing.T) {
	server := withMessages(t)
	for want, args := range map[string][]string{
		"add --yes": {"doctor", "--live", "--pal", "p123"}, "--pal ID": {"doctor", "--live", "--yes"},
		"--yes confirms --live": {"doctor", "--yes"},
	} {
		if r := call(t, args...); r.code != 2 || !strings.Contains(r.stderr, want) || len(server.Requests()) != 0 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	r := call(t, "doctor", "--live", "--yes", "--pal", "p123")
	if r.code != 0 || !strings.Contains(r.stdout, "200 OK") || !strings.Contains(r.stdout, "latency: ") ||
		strings.Contains(r.stdout, "p123") || strings.Contains(r.stdout, "c0ffee") {
		t.Errorf("%+v", r)
	}
	if len(server.Conversations()) != 1 || len(server.Open()) != 0 {
		t.Errorf("%+v", server.Conversations())
	}
}

// A named conversation is checked, and not joined.
func TestDoctorOfAConversation(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	checks, r := doctor(t, "--to", "tavus:"+id)
	if got := checks["room"]; r.code != 0 || got.Status != "ok" ||
		!strings.Contains(got.Detail, "https://tavus.daily.co/") || checks["transport"].Status != "ok" {
		t.Errorf("%+v, %+v", checks, r)
	}
	checks, r = doctor(t, "--to", "tavus:c0ffee00000000ff")
	if got := checks["room"]; r.code != 4 || got.Status != "fail" {
		t.Errorf("%+v, %+v", checks, r)
	}
}

func TestDoctorUsage(t *testing.T) {
	_, _ = account(t)
	for want, args := range map[string][]string{
		"--join joins the room that --to names": {"--join"},
		`and no "more"`:                         {"more"},
		"--ready-timeout must be more than 0":   {"--ready-timeout", "0s"},
		"there is no TURN server":               {"--relay-only"},
	} {
		if r := call(t, append([]string{"doctor"}, args...)...); r.code != 2 || r.stdout != "" ||
			strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if code := cli.Run(testwait.Context(t), []string{"echocast", "doctor"},
		cli.Streams{Out: failing{os.ErrClosed}, Err: &safeBuffer{}}); code != 1 {
		t.Errorf("a stdout that fails: code %d", code)
	}
}

// The version of the installed browser is reported.
func TestDoctorAndTheBrowser(t *testing.T) {
	if _, err := daily.FindBrowser(""); err != nil {
		t.Skip(err)
	}
	_, _ = account(t)
	checks, _ := doctor(t, "--to", "daily+http://127.0.0.1:1/room")
	if got := checks["browser"]; got.Status != "ok" || !strings.Contains(got.Detail, "Chromium ") {
		t.Errorf("%+v of %v", got, slices.Sorted(maps.Keys(checks)))
	}
}

// A file at the path of the library that is not the library is refused.
func TestDoctorOpensTheLibrary(t *testing.T) {
	if !core.Supported {
		t.Skip("this build opens no library")
	}
	account(t)
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checks, r := doctor(t, "--to", "daily+http://127.0.0.1:1/room", "--daily-core", text)
	if got := checks["transport"]; got.Status != "fail" ||
		!strings.Contains(got.Detail, "no shared library of this system") || r.code != 5 {
		t.Errorf("code %d, %+v", r.code, got)
	}
}
