package tavus_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// remembered lists the entries of the journal in dir. An empty file is of a
// process that was killed before it asked for a conversation.
func remembered(t *testing.T, dir string) (files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() == 0
	})
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		noCanary(t, name, string(text))
	}
	return files
}

func specIn(dir string) tavus.Spec {
	return tavus.Spec{PAL: "p1234567890a", Name: "the name", StateDir: dir}
}

// An open conversation is recorded, readable by this user only, and is ended once.
func TestOpenAndClose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for it")
	server := &tavustest.Server{Extra: true}
	client := onLoopback(t, server)
	conversation, err := tavus.Open(testwait.Context(t), client, specIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	if conversation.ID == "" || conversation.URL == "" || !strings.HasPrefix(conversation.Name, "the-name-") {
		t.Errorf("%+v", conversation.Info)
	}
	files := remembered(t, dir)
	if len(files) != 1 {
		t.Fatalf("%v", files)
	}
	if info, err := os.Stat(files[0]); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(text), conversation.ID) {
		t.Errorf("%s, %v", text, err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := conversation.Close(testwait.Context(t)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if n := server.Count("POST", "/v2/conversations/"); n != 1 || len(server.Open()) != 0 || len(left) != 0 || err != nil {
		t.Errorf("ended %d times; open %v; files left %v, %v", n, server.Open(), left, err)
	}
	if c := server.Complaints(); len(c) > 0 {
		t.Error(c)
	}
}

// Whatever the answer to a creation, there is one conversation and it is known, or there is
// none and that is known, or it is recorded.
func TestUncertainCreations(t *testing.T) {
	post := func(f tavustest.Fault) tavustest.Fault {
		f.Method = "POST"
		if f.Times == 0 {
			f.Times = 1
		}
		return f
	}
	again := http.Header{"Retry-After": {"5"}}
	for name, c := range map[string]struct {
		faults []tavustest.Fault
		opens  bool // else an error
		known  bool // else it is remembered
		made   int
	}{
		"500 after success":   {[]tavustest.Fault{post(tavustest.Fault{Status: 500, After: true})}, true, true, 1},
		"reset after success": {[]tavustest.Fault{post(tavustest.Fault{Reset: true, After: true})}, true, true, 1},
		"cut answer":          {[]tavustest.Fault{post(tavustest.Fault{Cut: 20, After: true})}, true, true, 1},
		"slow after success": {[]tavustest.Fault{post(tavustest.Fault{Delay: time.Hour, After: true})},
			true, true, 1},
		"html after success": {[]tavustest.Fault{post(tavustest.Fault{Status: 200, Body: "<html>", After: true})},
			true, true, 1},
		"no id after success": {[]tavustest.Fault{post(tavustest.Fault{Status: 200, Body: "{}", After: true})},
			true, true, 1},
		"huge after success": {
			[]tavustest.Fault{post(tavustest.Fault{Status: 200, Body: strings.Repeat(" ", 2<<20), After: true})}, true, true, 1},
		"408 after success": {[]tavustest.Fault{post(tavustest.Fault{Status: 408, After: true})}, true, true, 1},
		"503 after success": {[]tavustest.Fault{post(tavustest.Fault{Status: 503, Header: again, After: true})},
			true, true, 1},
		"503, then room": {[]tavustest.Fault{post(tavustest.Fault{Status: 503, Header: again, Times: 2})},
			true, true, 1},
		"503 without a time": {[]tavustest.Fault{post(tavustest.Fault{Status: 503})}, false, false, 0},
		"500 and nothing":    {[]tavustest.Fault{post(tavustest.Fault{Status: 500})}, false, false, 0},
		"429, then room": {[]tavustest.Fault{post(tavustest.Fault{Status: 429, Header: again, Times: 3})},
			true, true, 1},
		"429 for ever": {[]tavustest.Fault{post(tavustest.Fault{Status: 429, Header: again, Times: 99})},
			false, true, 0},
		"400": {
			[]tavustest.Fault{post(tavustest.Fault{Status: 400, Body: `{"message":"too many concurrent conversations"}`})},
			false, true, 0},
		"401":      {[]tavustest.Fault{post(tavustest.Fault{Status: 401})}, false, true, 0},
		"redirect": {[]tavustest.Fault{post(tavustest.Fault{Status: 307})}, false, true, 0},
		"500 after success, no look": {[]tavustest.Fault{post(tavustest.Fault{Status: 500, After: true}),
			{Method: "GET", Status: 500}}, false, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				server := &tavustest.Server{LongestPage: 3}
				client := inMemory(t, server)
				for i := range 10 {
					server.Add(fmt.Sprint("somebody else's ", i))
				}
				for _, fault := range c.faults {
					server.Fail(fault)
				}
				conversation, err := tavus.Open(t.Context(), client, specIn(dir))
				if (err == nil) != c.opens || len(server.Open()) != 10+c.made {
					t.Fatalf("%v; %d open", err, len(server.Open()))
				}
				_, uncertain := errors.AsType[*tavus.UncertainError](err)
				if uncertain == c.known {
					t.Errorf("%v", err)
				}
				if kept := len(remembered(t, dir)) == 1; kept != (c.opens || !c.known) {
					t.Errorf("remembered: %v", kept)
				}
				server.Heal()
				if c.opens {
					err = conversation.Close(t.Context())
				} else {
					_, err = tavus.EndMine(t.Context(), client, tavus.EndOptions{StateDir: dir, All: true, Settle: 1})
				}
				if err != nil || len(server.Open()) != 10 || len(remembered(t, dir)) != 0 {
					t.Errorf("in the end: %v; %d open, %v", err, len(server.Open()), remembered(t, dir))
				}
			})
		})
	}
}

// If the service says that it created no conversation and creates it later, the second attempt
// makes two. Both are ended.
func TestDuplicateCreations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &tavustest.Server{}
		client := inMemory(t, server)
		server.Fail(tavustest.Fault{Method: "POST", Status: 503, Header: http.Header{"Retry-After": {"1"}}, Times: 1})
		conversation, err := tavus.Open(t.Context(), client, specIn(t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		server.Add(conversation.Name) // the first one, late
		if err := conversation.Close(t.Context()); err != nil || len(server.Open()) != 0 {
			t.Errorf("%v; open %v", err, server.Open())
		}
	})
}

// A private conversation without its token is of no use, so it is ended.
func TestLostToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &tavustest.Server{}
		client := inMemory(t, server)
		spec := specIn(t.TempDir())
		spec.Private = true
		conversation, err := tavus.Open(t.Context(), client, spec)
		if err != nil || !strings.Contains(conversation.JoinURL(), "?t=eyJ.fake.") {
			t.Fatal(err)
		}
		if err := conversation.Close(t.Context()); err != nil {
			t.Error(err)
		}
		server.Fail(tavustest.Fault{Method: "POST", Status: 500, After: true, Times: 1})
		if _, err := tavus.Open(t.Context(), client, spec); err == nil || len(server.Open()) != 0 ||
			len(remembered(t, spec.StateDir)) != 0 {
			t.Errorf("%v; open %v", err, server.Open())
		}
	})
}

// In test mode nothing costs money, and nothing needs to be ended.
func TestTestMode(t *testing.T) {
	server := &tavustest.Server{StrictEnd: true}
	client := inMemory(t, server)
	spec := specIn(t.TempDir())
	spec.TestMode = true
	server.Fail(tavustest.Fault{Method: "POST", Reset: true, After: true, Times: 1})
	conversation, err := tavus.Open(testwait.Context(t), client, spec)
	if err != nil || !conversation.HasEnded() {
		t.Fatal(err)
	}
	if err := conversation.Close(testwait.Context(t)); err != nil || len(remembered(t, spec.StateDir)) != 0 {
		t.Error(err)
	}
}

// A creation that is under way when the user leaves is known or recorded in time.
func TestCancelWhileCreating(t *testing.T) {
	for name, c := range map[string]struct {
		fault tavustest.Fault
		kept  bool
	}{
		"answered soon":    {tavustest.Fault{Method: "POST", Delay: 2 * time.Second, Times: 1, After: true}, false},
		"never answered":   {tavustest.Fault{Method: "POST", Delay: time.Hour, Times: 1, After: true}, false},
		"nothing answered": {tavustest.Fault{Delay: time.Hour, After: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &tavustest.Server{}
				client := inMemory(t, server)
				server.Fail(c.fault)
				why := errors.New("the user left")
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
				defer cancel()
				start, dir := time.Now(), t.TempDir()
				_, err := tavus.Open(ctx, client, specIn(dir))
				if took := time.Since(start) - time.Second; !errors.Is(err, why) || took > 4500*time.Millisecond {
					t.Errorf("%v after, %v", took, err)
				}
				if kept := len(remembered(t, dir)) == 1; kept != c.kept || kept != (len(server.Open()) == 1) {
					t.Errorf("remembered %v; open %v", kept, server.Open())
				}
			})
		})
	}
}

// Close works after its context has ended, takes a limited time, and can be repeated.
func TestCloseThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &tavustest.Server{}
		client := inMemory(t, server)
		dir := t.TempDir()
		conversation, err := tavus.Open(t.Context(), client, specIn(dir))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		server.Fail(tavustest.Fault{Delay: time.Hour})
		start := time.Now()
		if err := conversation.Close(ctx); err == nil || !strings.Contains(err.Error(), conversation.ID) ||
			time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := conversation.Close(t.Context()); err == nil || time.Since(start) > 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if len(remembered(t, dir)) != 1 {
			t.Error("it was forgotten while open")
		}
		server.Heal()
		server.Fail(tavustest.Fault{Method: "POST", Status: 502, Times: 2})
		if err := conversation.Close(ctx); err != nil || len(server.Open()) != 0 || len(remembered(t, dir)) != 0 {
			t.Errorf("%v; open %v", err, server.Open())
		}
	})
}

// A conversation that has ended by itself, or was deleted, is not an error.
func TestCloseOfEndedConversation(t *testing.T) {
	server := &tavustest.Server{StrictEnd: true}
	client := inMemory(t, server)
	dir := t.TempDir()
	one, err := tavus.Open(testwait.Context(t), client, specIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	two, err := tavus.Open(testwait.Context(t), client, specIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.EndConversation(testwait.Context(t), one.ID), one.Close(testwait.Context(t)),
		client.DeleteConversation(testwait.Context(t), two.ID, false)); err != nil {
		t.Error(err)
	}
	results, err := tavus.EndMine(testwait.Context(t), client, tavus.EndOptions{StateDir: dir, All: true})
	if err != nil || len(results) != 1 || results[0].Outcome != tavus.OutcomeEnded || len(remembered(t, dir)) != 0 {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestPanicEndsTheConversation(t *testing.T) {
	server := &tavustest.Server{}
	client := inMemory(t, server)
	func() {
		defer func() { _ = recover() }()
		conversation, err := tavus.Open(testwait.Context(t), client, specIn(t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		defer conversation.Close(testwait.Context(t))
		panic("something else")
	}()
	if len(server.Conversations()) != 1 || len(server.Open()) != 0 {
		t.Errorf("%+v", server.Conversations())
	}
}

// If a conversation cannot be recorded, it is not created.
func TestNothingIsCreatedWithoutRecord(t *testing.T) {
	server := &tavustest.Server{}
	client := inMemory(t, server)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tavus.Open(testwait.Context(t), client, specIn(filepath.Join(file, "dir"))); err == nil ||
		len(server.Requests()) != 0 {
		t.Errorf("%v, %v", err, server.Requests())
	}
}

// EndMine leaves alone what is not its own, and what it cannot read.
func TestEndMineLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	server := &tavustest.Server{}
	client := inMemory(t, server)
	mine, err := tavus.Open(testwait.Context(t), client, specIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _ := tavus.NewKey("another-key")
	outcome := func(client *tavus.Client, all bool) tavus.Outcome {
		t.Helper()
		results, err := tavus.EndMine(testwait.Context(t), client, tavus.EndOptions{StateDir: dir, All: all})
		if err != nil || len(results) != 1 || results[0].Name != mine.Name {
			t.Fatalf("%+v, %v", results, err)
		}
		return results[0].Outcome
	}
	for name, got := range map[string]tavus.Outcome{
		"in use":     outcome(client, false),
		"not theirs": outcome(&tavus.Client{Key: otherKey, BaseURL: client.BaseURL, HTTP: client.HTTP}, true),
	} {
		if string(got) != name {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := outcome(&tavus.Client{Key: client.Key, BaseURL: "http://localhost", HTTP: client.HTTP},
		true); got != tavus.OutcomeForeign {
		t.Error(got)
	}
	if len(server.Open()) != 1 {
		t.Fatal("it was ended")
	}
	broken := filepath.Join(dir, "conversation-x.json")
	if err := os.WriteFile(broken, []byte(`{"conversation_id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := tavus.EndMine(testwait.Context(t), client, tavus.EndOptions{StateDir: dir, All: true})
	if err == nil || !strings.Contains(err.Error(), broken) || len(results) != 1 || len(server.Open()) != 0 {
		t.Errorf("%+v, %v", results, err)
	}
	if files := remembered(t, dir); len(files) != 1 || files[0] != broken {
		t.Errorf("%v", files)
	}
}

// If a crash cut short an entry's second write, its conversation is still ended, by its name;
// so is one from an older echocast.
func TestEndMineReadsDamagedEntries(t *testing.T) {
	for name, damage := range map[string]func(text string) string{
		"torn id": func(text string) string { return text[:strings.LastIndex(text, "conversation_id")+20] },
		"no id":   func(text string) string { return text[:strings.Index(text, "\n")+1] },
		"older file": func(text string) string {
			return strings.Replace(text, "}\n{",
				",\"process_started\":\"boot 7\",", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			server := &tavustest.Server{}
			client := inMemory(t, server)
			if _, err := tavus.Open(t.Context(), client, specIn(dir)); err != nil {
				t.Fatal(err)
			}
			file := remembered(t, dir)[0]
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(damage(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			results, err := tavus.EndMine(t.Context(), client, tavus.EndOptions{StateDir: dir, All: true})
			if err != nil || len(results) != 1 || results[0].Outcome != tavus.OutcomeEnded || len(server.Open()) != 0 {
				t.Errorf("%+v, %v; open %v", results, err, server.Open())
			}
		})
	}
}

// The empty file of a process that was killed before its request is removed once that process
// can no longer send it, together with its lock file.
func TestEndMineRemovesEmptyEntries(t *testing.T) {
	dir := t.TempDir()
	client := inMemory(t, &tavustest.Server{})
	young, old := filepath.Join(dir, "conversation-a.json"), filepath.Join(dir, "conversation-b.json")
	for _, name := range []string{young, old, old + ".lock"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	results, err := tavus.EndMine(t.Context(), client, tavus.EndOptions{StateDir: dir})
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(results) != 0 || !slices.Equal(left, []string{young}) {
		t.Errorf("%v, %v; left %v", results, err, left)
	}
}

// A conversation that was requested a moment ago may still appear, so its record stays.
func TestRecentCreationIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server := &tavustest.Server{}
		client := inMemory(t, server)
		server.Fail(tavustest.Fault{Method: "POST", Reset: true, Times: 1})
		_, err := tavus.Open(t.Context(), client, specIn(dir))
		unknown, ok := errors.AsType[*tavus.UncertainError](err)
		if !ok {
			t.Fatal(err)
		}
		for _, want := range []tavus.Outcome{tavus.OutcomeUnsettled, tavus.OutcomeEnded} {
			results, err := tavus.EndMine(t.Context(), client, tavus.EndOptions{StateDir: dir, All: true})
			if err != nil || len(results) != 1 || results[0].Outcome != want {
				t.Fatalf("%+v, %v", results, err)
			}
			server.Add(unknown.Name)
		}
	})
}

// The tests below kill processes that hold a conversation. If this variable is set, the test
// binary is such a process, or one that runs EndMine.
const helperOrders = "ECHOCAST_TEST_LEASE"

type helperOptions struct {
	URL, Dir string
	EndMine  bool
	Pause    string // before or after which request it stops, and says so
}

func TestMain(m *testing.M) {
	if text := os.Getenv(helperOrders); text != "" {
		var o helperOptions
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			panic(err)
		}
		if err := o.obey(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func (o helperOptions) obey() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	key, err := tavus.NewKey(canary)
	if err != nil {
		return err
	}
	client := &tavus.Client{Key: key, BaseURL: o.URL, HTTP: &http.Client{Transport: pausingTransport{o.Pause, ctx.Done()}}}
	if o.EndMine {
		_, err := tavus.EndMine(ctx, client, tavus.EndOptions{StateDir: o.Dir, Settle: 1})
		return err
	}
	fmt.Println("at start")
	conversation, err := tavus.Open(ctx, client, specIn(o.Dir))
	if err != nil {
		return err
	}
	defer func() {
		if err := conversation.Close(ctx); err == nil {
			fmt.Println("at closed")
			_, _ = io.Copy(io.Discard, os.Stdin)
		}
	}()
	fmt.Println("at open")
	ended := make(chan struct{})
	go func() { // ends with the process
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}

// pausingTransport stops before or after a request until the process is signalled.
type pausingTransport struct {
	at       string
	signaled <-chan struct{}
}

func (p pausingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	name := requestName(r)
	p.pause("before " + name)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && p.at == "after "+name {
		text, _ := io.ReadAll(response.Body)
		response.Body = io.NopCloser(strings.NewReader(string(text)))
		p.pause("after " + name)
	}
	return response, err
}

func (p pausingTransport) pause(at string) {
	if p.at == at {
		fmt.Println("at", at)
		<-p.signaled
	}
}

func requestName(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/end"):
		return "end"
	case r.Method == http.MethodPost:
		return "create"
	}
	return "look"
}

func helper(t *testing.T, o helperOptions) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	// The race detector would make the end of each process take a second.
	cmd.Env = append(os.Environ(), helperOrders+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

// At whatever moment a process is killed, the conversation that it opened is ended: by the
// process if it was asked to leave and the machine is fast enough for its time to be enough,
// otherwise by EndMine in a later process.
func TestKilledAnywhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such signals")
	}
	points := []string{
		"start", "before create", "create received", "create done", "after create", "open",
		"before look", "look received", "look done", "after look",
		"before end", "end received", "end done", "after end", "closed",
	}
	for _, point := range points {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
			t.Run(fmt.Sprintf("%s, %v", point, sig), func(t *testing.T) { killAt(t, point, sig) })
		}
	}
}

func killAt(t *testing.T, point string, sig syscall.Signal) {
	dir := t.TempDir()
	reached, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	server := &tavustest.Server{Key: canary}
	server.Watch = func(stage tavustest.Stage, r *http.Request) {
		if requestName(r)+" "+string(stage) == point {
			once.Do(func() {
				close(reached)
				<-released
			})
		}
	}
	if strings.Contains(point, "look") {
		server.Fail(tavustest.Fault{Method: "POST", Path: "/v2/conversations", Status: 500, After: true, Times: 1})
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	child := helper(t, helperOptions{URL: listener.URL, Dir: dir, Pause: point})
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	arrive(t, point, lines, reached, stdin)
	if err := child.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	signalled := time.Now()
	if sig != syscall.SIGKILL {
		close(released)
	}
	_ = stdin.Close()
	for lines.Scan() { // it may still say something
	}
	_ = child.Wait() // killed, or not: what counts is below
	if sig == syscall.SIGKILL {
		close(released) // what the service was about to do, it does now
	}
	if sig == syscall.SIGKILL || time.Since(signalled) > shortestGrace {
		listener.Close() // waits for the service
		listener = httptest.NewServer(server)
		defer listener.Close()
		moved(t, dir, child, listener.URL)
		if out, err := helper(t, helperOptions{URL: listener.URL, Dir: dir, EndMine: true}).Output(); err != nil {
			t.Fatalf("end mine: %v: %s", err, out)
		}
	}
	if open := server.Open(); len(open) != 0 {
		t.Errorf("still open: %+v", open)
	}
	if files := remembered(t, dir); len(files) != 0 {
		t.Errorf("still remembered: %v", files)
	}
}

// shortestGrace is less than a process that is asked to leave waits for any answer. Where the
// service of this test is slower, the process leaves the conversation to EndMine.
const shortestGrace = time.Second

// arrive waits until the child, or the server, is at the point.
func arrive(t *testing.T, point string, lines *bufio.Scanner, reached <-chan struct{}, stdin io.Closer) {
	t.Helper()
	ending := strings.HasSuffix(point, "end") || strings.HasPrefix(point, "end") || point == "closed"
	for {
		atServer := strings.HasSuffix(point, "received") || strings.HasSuffix(point, "done")
		if atServer && !ending {
			<-reached
			return
		}
		if !lines.Scan() {
			t.Fatalf("the process ended before it was at %q", point)
		}
		at := strings.TrimPrefix(lines.Text(), "at ")
		if at == point {
			return
		}
		if at == "open" && ending {
			if err := stdin.Close(); err != nil {
				t.Fatal(err)
			}
			if atServer {
				<-reached
				return
			}
		}
	}
}

// moved writes the server's new port to the files in dir.
func moved(t *testing.T, dir string, child *exec.Cmd, to string) {
	t.Helper()
	var o helperOptions
	for _, variable := range child.Env {
		if text, ok := strings.CutPrefix(variable, helperOrders+"="); ok {
			if err := json.Unmarshal([]byte(text), &o); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range remembered(t, dir) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), o.URL, to)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
