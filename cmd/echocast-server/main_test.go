package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/mcp"
)

const runsTheProgram = "ECHOCAST_TEST_RUNS_THE_PROGRAM"

// TestMain makes this test binary the program, or a server of NATS, for the process that a test
// starts.
func TestMain(m *testing.M) {
	if os.Getenv(runsTheProgram) == "1" {
		main()
	}
	if dir := os.Getenv(runsNATS); dir != "" {
		runNATS(dir, os.Getenv(routesOfNATS))
	}
	testenv.Isolate()
	os.Exit(m.Run())
}

// An agent starts the program from its settings file, and makes the stand-in replica of a
// rehearsal speak.
func TestMCPClientStartsProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, os.Args[0], "mcp", "--quiet")
	program.Env = append(os.Environ(), runsTheProgram+"=1")
	program.Stderr = os.Stderr
	client, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).
		Connect(ctx, &sdk.CommandTransport{Command: program, TerminateDuration: testwait.Limit}, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := client.CallTool(ctx,
		&sdk.CallToolParams{Name: "speak", Arguments: mcp.SpeakInput{Path: "../../testdata/speech.wav"}})
	if err != nil {
		t.Fatal(err)
	}
	var out mcp.SpokenOutput
	text, err := json.Marshal(result.StructuredContent)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil || result.IsError || out.Receipt == nil || out.Receipt.Outcome != "finished" {
		t.Errorf("speak returned %s, %v", text, err)
	}
	if err := client.Close(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if code := program.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
}
