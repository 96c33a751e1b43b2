//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"echocast/internal/nodetest"
	"echocast/internal/testwait"
)

// The clients continue when the node is killed to which their WebSocket is connected, in the
// middle of an utterance of which half has not been sent: all of it is said, and each event is
// told once. So is a mark that only the killed node has received. If that node only passed the
// WebSocket on, nothing is said twice either.
func TestClientsContinueOnAnotherNode(t *testing.T) {
	t.Parallel()
	const testdata = "../../clients/testdata/"
	python := func(t *testing.T) *exec.Cmd {
		if _, err := exec.LookPath("python3"); err != nil && os.Getenv("ECHOCAST_REQUIRE_BROWSER") == "" {
			t.Skip(err)
		}
		command := exec.CommandContext(testwait.Context(t), "python3", testdata+"speaks_on.py")
		command.Env = append(os.Environ(), "PYTHONPATH=../../clients/python", "PYTHONDONTWRITEBYTECODE=1")
		return command
	}
	javaScript := func(t *testing.T) *exec.Cmd {
		environment := nodetest.Client(t, "../..")
		command := exec.CommandContext(testwait.Context(t), "node", testdata+"speaks_on.mjs")
		command.Env = append(os.Environ(), environment...)
		return command
	}
	for _, test := range []struct {
		name        string
		program     func(*testing.T) *exec.Cmd
		isForwarded bool
	}{
		{"Python", python, false}, {"Python, forwarded", python, true},
		{"JavaScript", javaScript, false}, {"JavaScript, forwarded", javaScript, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			continueOnAnotherNode(t, test.program(t), test.isForwarded)
		})
	}
}

func continueOnAnotherNode(t *testing.T, program *exec.Cmd, isForwarded bool) {
	const seconds = 4
	nats, audience, audio := startNATS(t), openAudience(t), ramp(seconds)
	a, b := startGateway(t, nil, "--nats", nats), startGateway(t, nil, "--nats", nats)
	conversation := a.create(t, fmt.Sprintf(`{"to":%q}`, audience.url))
	killed, other := heldBy(t, conversation, a, b)
	if isForwarded {
		killed, other = other, killed
	}
	for _, node := range []*gatewayProcess{killed, other} {
		program.Args = append(program.Args, strings.TrimSuffix(node.url, "/v1/conversations"))
	}
	program.Args = append(program.Args[:2], append([]string{conversation}, program.Args[2:]...)...)
	program.Stderr = os.Stderr
	in, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err == nil {
		_, err = in.Write(audio[:len(audio)/2])
	}
	if err != nil {
		t.Fatal(err)
	}
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 && c[len(c)-1].last > 24000 })
	if err := killed.program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(audio[len(audio)/2:]); err != nil {
		t.Error(err)
	}
	_ = in.Close() // the program has read it
	var told struct {
		IDs       []int64
		Outcome   string
		Takeovers []any
		Heard     []string // marks
	}
	if err := json.NewDecoder(out).Decode(&told); err != nil {
		t.Fatal(err)
	}
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
	marks := []string{"before the kill", "end"}
	if told.Outcome != "finished" || !slices.Equal(told.Heard, marks) || !isForwarded && len(told.Takeovers) == 0 {
		t.Errorf("the client was told %+v", told)
	}
	for i, id := range told.IDs {
		if id != told.IDs[0]+int64(i) {
			t.Fatalf("the client was told of the events %v", told.IDs)
		}
	}
	chunks := audience.came()
	checkWhole(t, chunks, seconds)
	var repeats []string // of which each takeover allows one
	for i, c := range chunks {
		if i > 0 && c.first < chunks[i-1].last {
			repeats = append(repeats, fmt.Sprintf("%d to %d", c.first, chunks[i-1].last))
		}
	}
	if len(repeats) > len(told.Takeovers) {
		t.Errorf("after %d takeovers samples %s came twice", len(told.Takeovers), strings.Join(repeats, ", "))
	}
}
