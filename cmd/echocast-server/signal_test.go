//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"echocast/internal/testwait"
	"echocast/tavus/tavustest"
)

// gatewayProcess is a gateway in a separate process.
type gatewayProcess struct {
	t       *testing.T
	program *exec.Cmd
	url     string      // of the conversations
	lines   chan string // of stderr, from the beginning on

	mu   sync.Mutex
	said strings.Builder // all of stderr so far
}

var listens = regexp.MustCompile(`https?://[^/]+/v1/conversations`)

// startGateway starts the program, and returns when it listens.
func startGateway(t *testing.T, environment []string, args ...string) *gatewayProcess {
	t.Helper()
	return startGatewayBy(t, nil, environment, args...)
}

// startGatewayBy does the same by a program that runs its arguments, if there is one.
func startGatewayBy(t *testing.T, wrapper, environment []string, args ...string) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{t: t, lines: make(chan string, 1000)}
	t.Cleanup(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if t.Failed() {
			t.Logf("a gateway says\n%s", &g.said)
		}
	})
	// A busy machine takes conversations too.
	serve := []string{os.Args[0], "serve", "--listen", "127.0.0.1:0", "--max-lateness", "1h"}
	args = slices.Concat(wrapper, serve, args)
	g.program = exec.CommandContext(testwait.Context(t), args[0], args[1:]...)
	g.program.Env = append(append(os.Environ(), runsTheProgram+"=1"), environment...)
	stderr, err := g.program.StderrPipe()
	if err == nil {
		err = g.program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for g.url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the program has ended: %v", err)
		}
		g.url = listens.FindString(line)
	}
	go func() { // it ends with the program
		defer close(g.lines)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			g.mu.Lock()
			g.said.WriteString(line)
			g.mu.Unlock()
			select {
			case g.lines <- line:
			default: // nobody asks for so many
			}
		}
	}()
	return g
}

// awaitLine waits for a line of stderr that has a text, and returns it.
func (g *gatewayProcess) awaitLine(text string) string {
	g.t.Helper()
	for {
		line := testwait.Receive(g.t, g.lines)
		switch {
		case line == "":
			g.t.Fatalf("the program has ended without a line that has %q", text)
		case strings.Contains(line, text):
			return line
		}
	}
}

// post makes a request, and decodes the answer.
func (g *gatewayProcess) post(url string, body io.Reader, into any) int {
	answer, err := http.Post(url, "application/octet-stream", body) //nolint:noctx // the program ends with the test
	if err != nil {
		g.t.Errorf("%s: %v", url, err)
		return 0
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		g.t.Errorf("%s: %v", url, err)
	}
	return answer.StatusCode
}

// created is the answer to a creation.
type created struct {
	ID         string `json:"id"`
	Replica    string `json:"replica"`
	Utterances int    `json:"utterances"`
}

// A gateway that speaks in many conversations and gets SIGTERM finishes the utterances,
// answers with the receipts, and exits with 0.
func TestSIGTERMFinishesUtterances(t *testing.T) {
	const conversations = 20
	g := startGateway(t, nil, "--rehearse")
	samples := make([]byte, 2*2*24000)
	outcomes := make(chan string, conversations)
	var clients sync.WaitGroup
	for range conversations {
		var c created
		if status := g.post(g.url, strings.NewReader("{}"), &c); status != http.StatusCreated {
			t.Fatalf("status %d", status)
		}
		clients.Go(func() {
			var spoken struct {
				Receipt struct {
					Outcome string `json:"outcome"`
					Samples int    `json:"samples"`
				} `json:"receipt"`
			}
			g.post(g.url+"/"+c.ID+"/speech?format=s16le&rate=24000", bytes.NewReader(samples), &spoken)
			if spoken.Receipt.Samples != len(samples)/2 {
				t.Errorf("%d of %d samples were sent", spoken.Receipt.Samples, len(samples)/2)
			}
			outcomes <- spoken.Receipt.Outcome
		})
	}
	g.awaitAll(func(c *created) bool { return c.Utterances > 0 }, conversations) // the first may be over
	if err := g.program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	for range conversations {
		if outcome := <-outcomes; outcome != "finished" {
			t.Errorf("an utterance is %s", outcome)
		}
	}
	if err := g.program.Wait(); err != nil {
		t.Errorf("the program: %v", err)
	}
}

// awaitSpeaking waits until a conversation is not idle.
func (g *gatewayProcess) awaitSpeaking() {
	g.t.Helper()
	g.awaitAll(func(c *created) bool { return c.Replica != "idle" && c.Replica != "queued" }, 1)
}

// awaitAll waits until n conversations are as the function is says.
func (g *gatewayProcess) awaitAll(is func(*created) bool, n int) {
	g.t.Helper()
	await(g.t, func() bool {
		var list struct{ Conversations []created }
		answer, err := http.Get(g.url) //nolint:noctx // the program ends with the test
		if err == nil {
			err = json.NewDecoder(answer.Body).Decode(&list)
			_ = answer.Body.Close() // it was read
		}
		if err != nil {
			g.t.Fatal(err)
		}
		found := 0
		for i := range list.Conversations {
			if is(&list.Conversations[i]) {
				found++
			}
		}
		return found >= n
	})
}

// A gateway that is killed while it creates paid conversations leaves some open. The next one
// ends them before it listens.
func TestKilledGatewayLeavesNoConversation(t *testing.T) {
	t.Parallel()
	for seed := range testwait.Trials(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			killWhileItCreates(t, 1+seed%8)
		})
	}
}

// killWhileItCreates kills a gateway when some of eight conversations are created, and
// starts another.
func killWhileItCreates(t *testing.T, some int) {
	service := &tavustest.Server{Key: "any"}
	var serving sync.WaitGroup // requests to the service
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		service.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		service.Close()
	})
	environment := []string{"TAVUS_API_KEY=any", "TAVUS_BASE_URL=" + server.URL, "ECHOCAST_STATE_DIR=" + t.TempDir()}
	service.AddPAL("p1", "r1", "echo", nil)
	first := startGateway(t, environment)
	made := make(chan struct{}, 8)
	var clients sync.WaitGroup
	for range cap(made) {
		clients.Go(func() {
			create := strings.NewReader(`{"pal":"p1","via":"rest"}`)
			answer, err := http.Post(first.url, "application/json", create) //nolint:noctx // the program is killed
			if err == nil {
				made <- struct{}{}
				_ = answer.Body.Close() // what counts is that it was made
			}
		})
	}
	for range some {
		testwait.Receive(t, made)
	}
	if err := first.program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.program.Wait() // it was killed
	clients.Wait()
	serving.Wait()
	if n := len(service.Open()); n < some {
		t.Fatalf("%d conversations are open after the kill, %d were created", n, some)
	}
	second := startGateway(t, environment)
	answer, err := http.Get(second.url) //nolint:noctx // the program ends with the test
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // what counts is that it serves
	if open := service.Open(); len(open) != 0 {
		t.Errorf("open after the next start: %+v", open)
	}
	if err := second.program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.program.Wait(); err != nil {
		t.Errorf("the program: %v", err)
	}
}
