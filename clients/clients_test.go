package clients

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/gateway"
	"echocast/internal/nodetest"
	"echocast/internal/testwait"
)

// gatewayHere serves rehearsals on this machine until the test ends, and returns its HOST:PORT.
func gatewayHere(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	served := make(chan error, 1)
	options := &gateway.Options{Rehearse: true, MaxLateness: time.Hour} // a busy machine takes conversations too
	go func() { served <- gateway.Serve(ctx, listener, options) }()
	t.Cleanup(func() {
		cancel()
		if err := testwait.Receive(t, served); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// cutHere passes requests on to a gateway, but cuts each connection for events after three of
// them, as a node that is killed. It returns its address.
func cutHere(t *testing.T, to string) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(answer *http.Response) error {
		if strings.HasSuffix(answer.Request.URL.Path, "/events") {
			answer.Body = &cutBody{ReadCloser: answer.Body}
		}
		return nil
	}
	server := httptest.NewServer(proxy)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it says what was cut
	t.Cleanup(server.Close)
	return server.URL
}

// cutBody breaks in the middle of the fourth event.
type cutBody struct {
	io.ReadCloser
	events int
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.events > 3 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), 64)])
	c.events += bytes.Count(p[:n], []byte("event: "))
	return n, err
}

// botHere serves a voice bot that waits for a call, listens and says nothing, and returns its
// address.
func botHere(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		for err == nil {
			_, _, err = conn.Read(r.Context())
		}
		if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("the call ended with %v", err)
		}
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// runClient runs a program that checks a client by itself.
func runClient(t *testing.T, env []string, name string, arguments ...string) {
	t.Helper()
	runProgram(t, env, name, append(arguments, cutHere(t, gatewayHere(t)), botHere(t))...)
}

func runProgram(t *testing.T, env []string, name string, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(testwait.Context(t), name, arguments...)
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("%v:\n%s", err, out)
	}
}

// needPython skips a test if Python is not installed, or fails it if ECHOCAST_REQUIRE_BROWSER is
// set.
func needPython(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("python3")
	switch {
	case err == nil:
	case os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "":
		t.Fatalf("%v; make browser installs it", err)
	default:
		t.Skipf("%v; make browser installs it", err)
	}
}

var pythonEnv = []string{"PYTHONPATH=python", "PYTHONDONTWRITEBYTECODE=1"}

func TestPythonClient(t *testing.T) {
	t.Parallel()
	needPython(t)
	runClient(t, pythonEnv, "python3", "testdata/speaks.py")
}

func TestPythonClientContinues(t *testing.T) {
	t.Parallel()
	needPython(t)
	testContinues(t, pythonEnv, "python3", "testdata/continues.py")
}

func TestJavaScriptClient(t *testing.T) {
	t.Parallel()
	runClient(t, nodetest.Client(t, ".."), "node", "testdata/speaks.mjs")
}

func TestJavaScriptClientContinues(t *testing.T) {
	t.Parallel()
	testContinues(t, nodetest.Client(t, ".."), "node", "testdata/continues.mjs")
}

// In whatever moment of continuing on another connection the program writes, marks, ends, listens
// or pauses: nothing is lost, and every promise settles.
func TestJavaScriptClientReconnects(t *testing.T) {
	t.Parallel()
	runProgram(t, nodetest.Client(t, ".."), "node", "testdata/reconnects.mjs")
}
