package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"echocast/cli"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room/livekit"
	"echocast/rtc/daily/dailytest"
)

// examine runs doctor on the account's room, joined by the real daily-js.
func (a *account) examine(t *testing.T, arguments ...string) (checks map[string]string, code int) {
	t.Helper()
	a.AddPAL("p123", "r1234567890a", "echo", nil)
	all := append([]string{"echocast", "doctor", "--json", "--join", "--to", "daily+" + a.room.URL() + "?t=" + canary,
		"--face", "r1234567890a"}, arguments...)
	for i := 0; i < len(a.arguments); i += 2 {
		if !slices.Contains([]string{"--face", "--via"}, a.arguments[i]) { // the room is named
			all = append(all, a.arguments[i:i+2]...)
		}
	}
	var stdout, stderr bytes.Buffer
	code = cli.Run(testwait.Context(t), all, cli.Streams{Out: &stdout, Err: &stderr})
	if left := stdout.String() + stderr.String() + inFiles(t, os.Getenv("ECHOCAST_STATE_DIR")); strings.Contains(left,
		canary) {
		t.Errorf("the key is in what it left: %s", left)
	}
	var report struct {
		Checks []struct{ Name, Status, Detail, Fix string }
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s, %s", err, &stdout, &stderr)
	}
	checks = map[string]string{}
	for _, c := range report.Checks {
		checks[c.Name] = c.Status + ": " + c.Detail + "; " + c.Fix
	}
	return checks, code
}

// inFiles returns the content of all files below a folder.
func inFiles(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nothing was left, or another test has just removed it
		}
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if all.Write(text); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// doctor joins a room without a page, reads its limit and finds its replica, and says nothing
// in it.
func TestDoctorInARoom(t *testing.T) {
	t.Parallel()
	a := newAccount(t, dailytest.Options{MaxMessage: 3000})
	s := enter(t, &replica.Options{}, a.room, a.room.Enter("Ann", "tavus-replica-1"))
	checks, code := a.examine(t)
	report := s.end()
	for name, want := range map[string]string{
		"API key": "ok: valid", "PAL": "ok: p123", "face": "ok: ", "transport": "ok: Chromium with daily-js",
		"browser":  "ok: ",
		"daily-js": "ok: daily.js, which is release", "room": "warn: ", "join": "ok: joined in",
		"message limit": "ok: 3000 bytes", "replica": "ok: it is there",
	} {
		if !strings.HasPrefix(checks[name], want) {
			t.Errorf("%s: %s, want %s", name, checks[name], want)
		}
	}
	if code != 0 || len(report.Utterances) != 0 || len(report.Complaints) != 0 || len(a.Complaints()) != 0 ||
		len(a.Conversations()) != 0 {
		t.Errorf("code %d, %+v, %v", code, report, a.Complaints())
	}
}

// A room without a replica is a warning.
func TestDoctorInAnEmptyRoom(t *testing.T) {
	t.Parallel()
	a := newAccount(t, dailytest.Options{})
	checks, code := a.examine(t, "--ready-timeout", "1ms")
	if !strings.HasPrefix(checks["replica"], "warn: none has joined within 1ms; ") || code != 0 {
		t.Errorf("code %d, %s", code, checks["replica"])
	}
}

// A room that refuses everybody is a failure.
func TestDoctorInAClosedRoom(t *testing.T) {
	t.Parallel()
	a := newAccount(t, dailytest.Options{Refuse: &dailytest.Refusal{Type: "exp-room", Message: "it has expired"}})
	checks, code := a.examine(t)
	if want := "the room is over, full or private"; !strings.HasPrefix(checks["join"], "fail: ") ||
		!strings.Contains(checks["join"], "exp-room") || !strings.Contains(checks["join"], want) || code != 4 {
		t.Errorf("code %d, %s", code, checks["join"])
	}
}

// doctor recognises a real livekit-server without sending credentials.
func TestDoctorRecognisesLiveKitServer(t *testing.T) {
	address := "livekit+" + needServer(t) + "/doctor"
	if err := (livekit.Backend{}).CheckServer(testwait.Context(t), http.DefaultClient, address); err != nil {
		t.Error(err)
	}
}
