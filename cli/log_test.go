package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The log says why a connection failed. Without the log options, only the usual lines are
// written. As JSON, every line on stderr is an object.
func TestLogs(t *testing.T) {
	args := []string{"send", "--to", "http://127.0.0.1:1/", "../testdata/speech.wav"}
	const reason = "rtc: dial http://127.0.0.1:1/: connect: connection refused; is echocast replica running there?"
	if r := run(t, nil, args...); r.code != 5 || r.stderr != "echocast: "+reason+"\n" {
		t.Errorf("without a log: code %d, %s", r.code, r.stderr)
	}
	r := run(t, nil, append(args, "--verbose")...)
	if r.code != 5 || !strings.Contains(r.stderr, `msg="no connection" room=127.0.0.1:1 error="connect: `) ||
		strings.Contains(r.stderr, "level=") || strings.Contains(r.stderr, "pion") {
		t.Errorf("verbose: code %d, %s", r.code, r.stderr)
	}
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, "echocast: ") {
			t.Errorf("a line for people: %s", line)
		}
	}
	if r := run(t, nil, append(args, "--log-level", "debug")...); !strings.Contains(r.stderr, `by="pion `) {
		t.Errorf("debug: %s", r.stderr)
	}
	r = run(t, nil, append(args, "--log-format", "json")...)
	var last struct{ Level, Msg string }
	for line := range strings.Lines(r.stderr) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	if r.code != 5 || last.Level != "ERROR" || last.Msg != reason ||
		!strings.Contains(r.stderr, `"msg":"sending an offer"`) {
		t.Errorf("JSON: code %d, %s", r.code, r.stderr)
	}
	for _, wrong := range [][]string{{"--log-format", "xml"}, {"--log-level", "all"}} {
		if r := run(t, nil, append(args, wrong...)...); r.code != 2 || !strings.Contains(r.stderr, "must be one of") {
			t.Errorf("%v: code %d, %s", wrong, r.code, r.stderr)
		}
	}
}

// No log contains a key, even if the other side repeats it.
func TestLogsHideSecrets(t *testing.T) {
	const key = "leak-of-a-key-in-a-log"
	t.Setenv("TAVUS_API_KEY", key)
	t.Setenv("ECHOCAST_ROOM_KEY", key)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/"+key)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"message": "not with `+r.Header.Get("Authorization")+r.Header.Get("X-Api-Key")+`"}`)
	}))
	defer server.Close()
	for _, args := range [][]string{
		{"send", "--to", server.URL, "../testdata/speech.wav"},
		{"send", "--to", server.URL + "/?t=" + key, "../testdata/speech.wav"},
		{"send", "--to", "https://127.0.0.1:1/" + key, "../testdata/speech.wav"},
		{"pal", "get", "--base-url", server.URL, "p1"},
		{"send", "--base-url", server.URL, "--conversation", "c1", "../testdata/speech.wav"},
	} {
		for _, format := range []string{"text", "json"} {
			r := run(t, nil, append(args, "--log-level", "debug", "--log-format", format)...)
			if r.code == 0 || strings.Contains(r.stdout+r.stderr, key) || strings.Count(r.stderr, "\n") < 2 {
				t.Errorf("%v: code %d\n%s", args, r.code, r.stderr)
			}
		}
	}
}
