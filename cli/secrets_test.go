package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/redact"
	"echocast/internal/testwait"
	"echocast/trace"
)

// keyFile writes a secret into a file that every user can read.
func keyFile(t *testing.T, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// A command's secrets are in no line that it prints about a failure, whatever repeats them:
// here a secret is also the name of an input, which errors quote.
func TestNoSecretIsPrinted(t *testing.T) {
	for variable, secret := range map[string]string{
		"TAVUS_API_KEY": "leak-of-api-key", "ECHOCAST_ROOM_KEY": "leak-of-room-key", "ECHOCAST_ICE_CREDENTIAL": "leak-of-ice",
		"LIVEKIT_API_SECRET": "leak-of-livekit", "LIVEKIT_TOKEN": "leak-of-token",
	} {
		t.Setenv(variable, secret)
		for _, args := range [][]string{{"send", "--json", "--rehearse", secret}, {"encode", secret},
			{"probe", secret}, {secret}} {
			printsNo(t, secret, args...)
		}
	}
	for option, secret := range map[string]string{
		"--api-key-file": "leak-of-api-key-file", "--room-key-file": "leak-of-room-key-file",
	} {
		printsNo(t, secret, "pal", "get", "--base-url", "ftp://127.0.0.1/"+secret, "--api-key-file",
			keyFile(t, secret+"\n"), "p0")
		printsNo(t, secret, "send", "--json", "--to", "http://127.0.0.1:1", option, keyFile(t, secret), secret)
	}
	const token = "leak-of-meeting-token"
	printsNo(t, token, "send", "--json", "--to", "https://x.daily.co/room?t="+token, token)
	for _, args := range [][]string{{"bridge", "http://127.0.0.1/media?api_key=leak-of-typed"},
		{"bridge", "http://bot:leak-of-typed@127.0.0.1/media"},
		{"converse", "--agent", "openai", "--agent-url=http://127.0.0.1/?token=leak-of-typed"},
		{"bridge", "--param", "Authorization=Bearer leak-of-typed", "leak-of-typed"}} {
		printsNo(t, "leak-of-typed", args...)
		redact.Known = redact.Growing{}
	}
	t.Setenv("ECHOCAST_AGENT_URL", "http://127.0.0.1/?token=leak-of-setting")
	printsNo(t, "leak-of-setting", "converse", "--agent", "openai")
}

func printsNo(t *testing.T, secret string, args ...string) {
	t.Helper()
	code, stdout, stderr := run(testwait.Context(t), args...)
	if code == 0 || strings.Contains(stdout+stderr, secret) || stderr == "" {
		t.Errorf("%v: code %d, the secret is shown:\n%s%s", args, code, stdout, stderr)
	}
}

// Secrets that become known while a trace is recorded are hidden in it too.
func TestTraceHidesLaterSecrets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "trace")
	recorder, err := trace.Create(name, "echocast", redact.Hide)
	if err != nil {
		t.Fatal(err)
	}
	redact.Known.Add("user\n  leak-of-a-later-secret \n")
	if got := recorder.Redact("user says leak-of-a-later-secret"); got != "user says redacted" {
		t.Errorf("the trace says %q", got)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every option that names a secret file warns of one that others can read.
func TestReadableSecretFilesAreReported(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for option, args := range map[string][]string{
		"--api-key-file":        {"pal", "list", "--base-url", server.URL},
		"--room-key-file":       {"send", "--to", server.URL, "none.wav"},
		"--ice-credential-file": {"send", "--to", server.URL, "--ice-server", "turn:127.0.0.1", "none.wav"},
		"--room-token-file":     {"send", "--to", "https://x.daily.co/room", "--chromium", "/none", "../testdata/speech.wav"},
		"--tls-key":             {"replica", "--tls-cert", "../testdata/speech.wav"},
	} {
		name := keyFile(t, "a-user-name\na-credential\n")
		_, _, stderr := run(testwait.Context(t), append(args, option, name)...)
		if !strings.Contains(stderr, "every user of this machine can read "+name+": run chmod 600 on it") {
			t.Errorf("%s: no warning:\n%s", option, stderr)
		}
	}
}
