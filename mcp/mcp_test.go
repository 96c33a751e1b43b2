package mcp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/mcp"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// connect starts a server in a room in memory, and connects the SDK's own client
// to it over two pipes, as an agent does over standard input and output.
func connect(t *testing.T, o *replica.Options) *sdk.ClientSession {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	place := roomtest.Open(o)
	t.Cleanup(func() { place.Close() })
	joined, err := room.Join(ctx, place.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = joined.Close() })
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	if err := session.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	serverIn, clientOut := io.Pipe()
	clientIn, serverOut := io.Pipe()
	server := mcp.New(session, "test")
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, serverIn, serverOut) }()
	client, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).
		Connect(ctx, &sdk.IOTransport{Reader: clientIn, Writer: clientOut}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		if err := <-served; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		_ = server.Close()
	})
	return client
}

// call calls a tool, and decodes what it returns.
func call[T any](t *testing.T, client *sdk.ClientSession, tool string, in any) T {
	t.Helper()
	result, err := client.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: in})
	if err != nil {
		t.Fatal(err)
	}
	if result.IsError {
		t.Fatalf("%s failed: %s", tool, text(result))
	}
	var out T
	structured, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(structured, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// refused calls a tool that must fail, and returns what it says.
func refused(t *testing.T, client *sdk.ClientSession, tool string, in any) string {
	t.Helper()
	result, err := client.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: in})
	if err != nil {
		return err.Error() // refused by the schema
	}
	if !result.IsError {
		t.Fatalf("%s %v was taken: %s", tool, in, text(result))
	}
	return text(result)
}

func text(result *sdk.CallToolResult) string {
	var all strings.Builder
	for _, content := range result.Content {
		if part, ok := content.(*sdk.TextContent); ok {
			all.WriteString(part.Text)
		}
	}
	return all.String()
}

const speech = "../testdata/speech.wav"

func TestSpeakFile(t *testing.T) {
	client := connect(t, nil)
	out := call[mcp.SpokenOutput](t, client, "speak", mcp.SpeakInput{Path: speech})
	if r := out.Receipt; r == nil || r.Outcome != echo.Finished || r.SpokenBy != echo.ByEvent || r.Samples == 0 {
		t.Fatalf("speak returned %+v", out)
	}
	heard := call[mcp.HeardOutput](t, client, "heard", mcp.HeardInput{})
	if heard.State != echo.Idle || len(heard.Receipts) != 1 || heard.Receipts[0].InferenceID != out.Receipt.InferenceID {
		t.Errorf("heard returned %+v after %+v", heard, out.Receipt)
	}
	events := call[mcp.ListenOutput](t, client, "listen", mcp.ListenInput{})
	var kinds []string
	for _, event := range events.Events {
		kinds = append(kinds, fmt.Sprint(event.(map[string]any)["kind"]))
	}
	if !strings.Contains(strings.Join(kinds, " "), "started_speaking") {
		t.Errorf("listen returned the events %v", kinds)
	}
	if again := call[mcp.ListenOutput](t, client, "listen",
		mcp.ListenInput{Cursor: events.Cursor}); again.Cursor < events.Cursor || again.Missed != 0 {
		t.Errorf("listen from %d returned %+v", events.Cursor, again)
	}
}

func TestSayTextAndInterrupt(t *testing.T) {
	client := connect(t, nil)
	if out := call[mcp.SpokenOutput](t, client, "say", mcp.SayInput{Text: "Welcome."}); out.Receipt == nil ||
		out.Receipt.Characters != 8 {
		t.Errorf("say returned %+v", out)
	}
	long := silence(t, 5*time.Minute) // it is not over before it is interrupted
	accepted := call[mcp.SpokenOutput](t, client, "speak", mcp.SpeakInput{Path: long, NoWait: true})
	if accepted.Receipt != nil {
		t.Errorf("an utterance that nobody waits for returned the receipt %+v", accepted.Receipt)
	}
	for call[mcp.HeardOutput](t, client, "heard", mcp.HeardInput{}).State != echo.Speaking {
		call[mcp.ListenOutput](t, client, "listen", mcp.ListenInput{Cursor: 1 << 30, Seconds: 0.05})
	}
	stopped := call[mcp.HeardOutput](t, client, "interrupt", mcp.InterruptInput{})
	if len(stopped.Receipts) != 1 || stopped.Receipts[0].Outcome != echo.Interrupted || stopped.State != echo.Idle {
		t.Errorf("interrupt returned %+v", stopped)
	}
}

func TestToolErrors(t *testing.T) {
	client := connect(t, nil)
	noise := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(noise, []byte("this is no audio, it is a note to myself\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tool string
		in   any
		says string
	}{
		{"speak", mcp.SpeakInput{Path: "missing.wav"}, "missing.wav"},
		{"speak", mcp.SpeakInput{Path: noise}, noise},
		{"speak", mcp.SpeakInput{Path: silence(t, time.Hour)}, "longer than"},
		{"speak", map[string]any{}, "path"},
		{"say", mcp.SayInput{Text: " "}, "no text"},
		{"listen", mcp.ListenInput{Seconds: 3600}, "0 to 50"},
		{"listen", mcp.ListenInput{Cursor: -1}, "negative"},
		{"heard", mcp.HeardInput{Last: -1}, "negative"},
	} {
		if got := refused(t, client, c.tool, c.in); !strings.Contains(got, c.says) {
			t.Errorf("%s %v: %q does not say %q", c.tool, c.in, got, c.says)
		}
	}
	if heard := call[mcp.HeardOutput](t, client, "heard", mcp.HeardInput{}); len(heard.Receipts) != 0 {
		t.Errorf("what was refused left the receipts %+v", heard.Receipts)
	}
}

// silence is a WAV of 8-bit samples.
func silence(t *testing.T, length time.Duration) string {
	t.Helper()
	header := []byte("RIFF\x00\x00\x00\x00WAVEfmt " +
		"\x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data")
	samples := bytes.Repeat([]byte{0x80}, 8000*int(length.Seconds()))
	header = binary.LittleEndian.AppendUint32(header, uint32(len(samples)))
	name := filepath.Join(t.TempDir(), "silence.wav")
	if err := os.WriteFile(name, append(header, samples...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestUtterancesAreBounded(t *testing.T) {
	client, long := connect(t, nil), silence(t, 5*time.Minute) // the first is not over before the last is refused
	for range 32 {
		call[mcp.SpokenOutput](t, client, "speak", mcp.SpeakInput{Path: long, NoWait: true})
	}
	if got := refused(t, client, "speak", mcp.SpeakInput{Path: long}); !strings.Contains(got, "32 utterances wait") {
		t.Errorf("one utterance too many was refused with %q", got)
	}
	if stopped := call[mcp.HeardOutput](t, client, "interrupt", mcp.InterruptInput{}); len(stopped.Receipts) != 32 {
		t.Errorf("interrupt returned %d receipts", len(stopped.Receipts))
	}
}
