package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"echocast/cli"
	"echocast/internal/testwait"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// canary is a key that must not appear anywhere.
const canary = "canary-4f1ce8/5f0c1d"

// account is a stand-in for the service, and the environment of its user.
func account(t *testing.T) (server *tavustest.Server, stateDir string) {
	t.Helper()
	server = &tavustest.Server{Key: canary}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	stateDir = t.TempDir()
	for name, value := range map[string]string{
		"TAVUS_API_KEY": canary, "TAVUS_BASE_URL": listener.URL, "ECHOCAST_STATE_DIR": stateDir,
		"TAVUS_PAL_ID": "", "TAVUS_PERSONA_ID": "", "TAVUS_FACE_ID": "", "TAVUS_REPLICA_ID": "",
	} {
		t.Setenv(name, value)
	}
	return server, stateDir
}

// call runs a command and checks that its output does not contain the key.
func call(t *testing.T, args ...string) result {
	t.Helper()
	r := run(t, strings.NewReader(""), args...)
	files, err := filepath.Glob(filepath.Join(os.Getenv("ECHOCAST_STATE_DIR"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	left := r.stdout + r.stderr
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		left += string(text)
	}
	if strings.Contains(left, "5f0c1d") {
		t.Errorf("%v: the key is in what it left: %s", args, left)
	}
	return r
}

// All commands from a new account to a conversation, and back to an empty account.
func TestConversationCommands(t *testing.T) {
	server, state := account(t)
	pal := call(t, "pal", "create", "--echo", "--face", "r1234567890a", "--microphone")
	palID, _, _ := strings.Cut(pal.stdout, " ")
	if pal.code != 0 || !strings.HasPrefix(palID, "p") {
		t.Fatalf("%+v", pal)
	}
	t.Setenv("TAVUS_PERSONA_ID", palID) // the old name
	t.Setenv("TAVUS_REPLICA_ID", "r1234567890a")
	made := call(t, "conversation", "create", "--max-minutes", "2.5", "--name", "a talk")
	id, url, _ := strings.Cut(strings.TrimSpace(made.stdout), "  ")
	if made.code != 0 || url != "https://tavus.daily.co/"+id || made.stderr != "" {
		t.Fatalf("%+v", made)
	}
	created := server.Conversations()[0]
	properties := created.Body["properties"].(map[string]any)
	if created.PAL != palID || created.Face != "r1234567890a" || !strings.HasPrefix(created.Name, "a-talk-") ||
		properties["max_call_duration"] != 150.0 || properties["participant_left_timeout"] != 30.0 ||
		properties["participant_absent_timeout"] != 120.0 || created.Body["custom_greeting"] != "" {
		t.Errorf("%+v", created)
	}
	var info tavus.Info
	second := call(t, "conversation", "create", "--json", "--private", "--pal", palID)
	if err := json.Unmarshal([]byte(second.stdout), &info); err != nil || info.ID == "" ||
		info.Token == "" || info.URL == "" {
		t.Fatalf("%v: %+v", err, second)
	}
	for _, c := range []struct {
		args []string
		want []string // in stdout
	}{
		{[]string{"conversation", "list"}, []string{"ID  ", "STATUS  CREATED", id, info.ID, "active"}},
		{[]string{"conversation", "get", id}, []string{id, "active", created.Name}},
		{[]string{"conversation", "get", id, "--verbose"}, []string{"system.replica_joined"}},
		{[]string{"conversation", "get", "--verbose", "--json", id}, []string{`"events":[{`, `"pal_id":"` + palID}},
		{[]string{"conversation", "end", id}, []string{id + "  ended"}},
		{[]string{"conversation", "list", "--status", "ended", "--json"}, []string{`"status":"ended"`, id}},
		{[]string{"conversation", "end-mine", "--all"}, []string{info.ID, "ended"}},
		{[]string{"conversation", "list"}, []string{"ID  STATUS  CREATED  NAME  URL\n"}},
		{[]string{"pal", "list"}, []string{"ID  ", "MODE", palID + "  echo"}},
		{[]string{"pal", "get", palID, "--json"}, []string{`"default_face_id":"r1234567890a"`}},
		{[]string{"pal", "delete", palID}, []string{palID + "  deleted"}},
	} {
		r := call(t, c.args...)
		for _, want := range c.want {
			if r.code != 0 || !strings.Contains(r.stdout, want) {
				t.Errorf("%v: %q is not in %+v", c.args, want, r)
			}
		}
	}
	if files, _ := filepath.Glob(filepath.Join(state, "*")); len(server.Open()) != 0 || len(files) != 0 ||
		len(server.Complaints()) != 0 {
		t.Errorf("open %v, remembered %v, complaints %v", server.Open(), files, server.Complaints())
	}
}

// Each refusal of the service has one line and its exit code.
func TestServiceRefusals(t *testing.T) {
	server, _ := account(t)
	t.Setenv("TAVUS_PAL_ID", "p1")
	for _, c := range []struct {
		fault tavustest.Fault
		args  []string
		code  int
		want  string
	}{
		{tavustest.Fault{Status: 401, Body: `{"message":"Invalid access token"}`}, []string{"conversation", "list"},
			4, "check the API key"},
		{tavustest.Fault{Status: 400, Body: `{"message":"too many concurrent conversations"}`},
			[]string{"conversation", "create"}, 4, "end a conversation first"},
		{tavustest.Fault{}, []string{"conversation", "end", "c0"}, 4, "Invalid conversation_id"},
		{tavustest.Fault{}, []string{"pal", "get", "p0"}, 4, "404 Not Found"},
		{tavustest.Fault{Mirror: true, Status: 403, Body: "no"}, []string{"pal", "list"}, 4, "redacted"},
		{tavustest.Fault{Mirror: true, Status: 403, Body: "no"}, []string{"conversation", "create"}, 4, "redacted"},
		{tavustest.Fault{Mirror: true, Status: 500, Body: "no"}, []string{"conversation", "get", "c1"}, 4, "try again later"},
		{tavustest.Fault{Mirror: true, Status: 403}, []string{"conversation", "end-mine"}, 0, "nothing to end"},
		{tavustest.Fault{Status: 307, Header: http.Header{"Location": {"https://elsewhere.test/"}}}, []string{"pal", "list"},
			4, "elsewhere.test"},
	} {
		server.Heal()
		server.Fail(c.fault)
		r := call(t, c.args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || !strings.HasPrefix(r.stderr, "echocast: ") {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

func TestServiceUsage(t *testing.T) {
	server, _ := account(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"conversation", "create"}, "TAVUS_PAL_ID"},
		{[]string{"conversation", "create", "--pal", "a/b"}, "is not an id"},
		{[]string{"conversation", "create", "--pal", "p1", "more"}, `no "more"`},
		{[]string{"conversation", "create", "--pal", "p1", "--max-minutes", "0"}, "--max-minutes"},
		{[]string{"conversation", "create", "--pal", "p1", "--max-minutes", "NaN"}, "--max-minutes"},
		{[]string{"conversation", "list", "--status", "old"}, "--status old"},
		{[]string{"conversation", "list", "--limit", "0"}, "--limit must be"},
		{[]string{"conversation", "get"}, "the id of one conversation"},
		{[]string{"conversation", "end", "a", "b"}, "the id of one conversation"},
		{[]string{"conversation", "start"}, `echocast conversation has no command "start"`},
		{[]string{"conversation", "list", "--api-key", canary},
			"no option is called --api-key; echocast conversation list --help"},
		{[]string{"conversation", "list", "--base-url", "http://tavusapi.com"}, "unencrypted"},
		{[]string{"pal", "create", "--face", "r1"}, "--echo"},
		{[]string{"pal", "create", "--echo"}, "TAVUS_FACE_ID"},
		{[]string{"pal", "list", "--api-key-file", filepath.Join(t.TempDir(), "none")}, "none: no such file"},
	} {
		if r := call(t, c.args...); r.code != 2 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 ||
			!strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	t.Setenv("TAVUS_API_KEY", "")
	if r := call(t, "pal", "list"); r.code != 2 || !strings.Contains(r.stderr, "TAVUS_API_KEY: the API key is empty") {
		t.Errorf("%+v", r)
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestKeyFile(t *testing.T) {
	_, _ = account(t)
	t.Setenv("TAVUS_API_KEY", "another")
	name := write(t, "key", []byte("  "+canary+"\r\n"))
	if r := call(t, "pal", "list", "--api-key-file", name); r.code != 0 || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := call(t, "pal", "list", "--api-key-file", name); r.code != 0 ||
		!strings.Contains(r.stderr, "every user of this machine can read "+name) {
		t.Errorf("%+v", r)
	}
	two := write(t, "keys", []byte(canary+"\n"+canary))
	if r := call(t, "pal", "list", "--api-key-file", two); r.code != 2 || !strings.Contains(r.stderr, "line break") {
		t.Errorf("%+v", r)
	}
}

func TestServiceUnreachable(t *testing.T) {
	_, _ = account(t)
	listener := httptest.NewServer(nil)
	listener.Close()
	if r := call(t, "conversation", "create", "--pal", "p1", "--base-url", listener.URL); r.code != 5 ||
		strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%+v", r)
	}
}

// If it is unknown whether a conversation was created, the error says how to end it.
func TestUncertainCreation(t *testing.T) {
	server, _ := account(t)
	server.Fail(tavustest.Fault{Method: "POST", Status: 500, After: true, Times: 1})
	server.Fail(tavustest.Fault{Method: "GET", Status: 403, Body: `{"error":"no lists"}`})
	r := call(t, "conversation", "create", "--pal", "p1")
	if r.code != 4 || r.stdout != "" || !strings.Contains(r.stderr, "it is unknown whether") ||
		!strings.Contains(r.stderr, "end-mine") || len(server.Open()) != 1 {
		t.Errorf("%+v", r)
	}
	server.Heal()
	if r := call(t, "conversation", "end-mine", "--all"); r.code != 0 || len(server.Open()) != 0 {
		t.Errorf("%+v, open %v", r, server.Open())
	}
}

// A conversation is ended if its id cannot be printed.
func TestCreationIsEndedIfItCannotBePrinted(t *testing.T) {
	server, _ := account(t)
	code := cli.Run(testwait.Context(t), []string{"echocast", "conversation", "create", "--pal", "p1"},
		cli.Streams{Out: failing{syscall.ENOSPC}, Err: io.Discard})
	if code == 0 || len(server.Conversations()) != 1 || len(server.Open()) != 0 {
		t.Errorf("code %d, %+v", code, server.Conversations())
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	cancel()
	if r := runContext(ctx, nil, "conversation", "create", "--pal", "p1"); r.code == 0 ||
		len(server.Conversations()) != 1 {
		t.Errorf("%+v", r)
	}
}

// The next create reports conversations that earlier runs left open, and how to end them.
func TestCreateReportsLeftoverConversations(t *testing.T) {
	_, state := account(t)
	if r := call(t, "conversation", "create", "--pal", "p1"); r.code != 0 || strings.Contains(r.stderr, "end-mine") {
		t.Fatalf("%+v", r)
	}
	locks, err := filepath.Glob(filepath.Join(state, "*.lock"))
	if err != nil || len(locks) != 1 {
		t.Fatal(locks, err)
	}
	if err := os.Remove(locks[0]); err != nil { // as if the process that held it had died
		t.Fatal(err)
	}
	if r := call(t, "conversation", "create", "--pal", "p1"); r.code != 0 ||
		!strings.Contains(r.stderr, "1 conversation created by a process that has ended") ||
		!strings.Contains(r.stderr, "end-mine") {
		t.Errorf("%+v", r)
	}
}

// If stdout is closed, the id of a created conversation is on stderr.
func TestIDIsNamedWhenStdoutIsClosed(t *testing.T) {
	server, _ := account(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var stderr safeBuffer
	code := cli.Run(testwait.Context(t), []string{"echocast", "conversation", "create", "--pal", "p1"},
		cli.Streams{Out: null, Err: &stderr})
	if id := server.Conversations()[0].ID; code != 0 || strings.Count(stderr.String(), id) != 3 {
		t.Errorf("code %d: %s", code, stderr.String())
	}
}

// If ending a conversation gets no answer, the error says how to end it.
func TestEndTimesOut(t *testing.T) {
	server, _ := account(t)
	id := server.Add("mine")
	server.Fail(tavustest.Fault{Method: "POST", Reset: true})
	r := call(t, "conversation", "end", id)
	if r.code != 5 || !strings.Contains(r.stderr, "end it with: echocast conversation end "+id) {
		t.Errorf("%+v", r)
	}
}
