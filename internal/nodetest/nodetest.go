// Package nodetest runs Node.js programs in tests.
package nodetest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"echocast/internal/testwait"
)

// Need skips the test if Node.js, or a library in the folder of the programs, is not
// installed. If the environment variable that require names is set, it fails the test
// instead.
func Need(t testing.TB, folder, library, require string) {
	t.Helper()
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(folder, "node_modules", library))
	}
	switch {
	case err == nil:
	case os.Getenv(require) != "":
		t.Fatalf("%v; make browser livekit installs the libraries", err)
	default:
		t.Skipf("%v; make browser livekit installs the libraries", err)
	}
}

// Start starts a program in a folder, and returns the values that it prints as lines of
// JSON. The channel is closed when the program ends. The program ends when its standard
// input ends, which happens at the end of the test.
func Start[E any](t testing.TB, folder, program string, arguments ...string) <-chan E {
	t.Helper()
	command := exec.CommandContext(testwait.Context(t), "node", append([]string{program}, arguments...)...)
	command.Dir, command.Stderr, command.Env = folder, os.Stderr, withoutProxy(os.Environ())
	alive, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan E, 1000)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var event E
			if json.Unmarshal(lines.Bytes(), &event) == nil {
				events <- event
			}
		}
	}()
	t.Cleanup(func() {
		_ = alive.Close()
		for range events {
		}
		_ = command.Wait()
	})
	return events
}

// Client compiles the JavaScript client of the gateway. It returns the environment that names
// it, as CLIENT, and the WebSocket of the package ws, as WS. The folder is that of this module.
func Client(t testing.TB, module string) (environment []string) {
	t.Helper()
	const require = "ECHOCAST_REQUIRE_BROWSER"
	sockets, client := filepath.Join(module, "carrier/carriertest/node"), filepath.Join(module, "clients/js")
	Need(t, sockets, "ws", require)
	Need(t, client, "typescript", require)
	built := t.TempDir()
	compile := exec.CommandContext(testwait.Context(t), "node", filepath.Join(client, "node_modules/typescript/bin/tsc"),
		"--project", client, "--outDir", built)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(built, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := filepath.Abs(filepath.Join(sockets, "node_modules/ws/wrapper.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{"CLIENT=" + filepath.Join(built, "index.js"), "WS=" + socket}
}

// withoutProxy returns an environment without the proxies in it: some libraries ask them for
// addresses of this machine too, whatever NO_PROXY says.
func withoutProxy(environ []string) []string {
	return slices.DeleteFunc(environ, func(variable string) bool {
		name, _, _ := strings.Cut(strings.ToLower(variable), "=")
		return strings.HasSuffix(name, "_proxy")
	})
}
