package cli_test

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/echo"
	"echocast/internal/testenv"
	"echocast/replica"
	"echocast/tavus/tavustest"
)

// withMessages returns an account on a service that plays messages.
func withMessages(t *testing.T) *tavustest.Server {
	t.Helper()
	server, _ := account(t)
	t.Setenv("ECHOCAST_CONVERSATION", "")
	t.Cleanup(func() { server.Close() })
	return server
}

// short returns a file of 1.2 seconds: three chunks over REST.
func short(t *testing.T) string { return silence(t, 28800) }

// silence returns a file of so many samples at 24 kHz.
func silence(t *testing.T, samples uint32) string {
	t.Helper()
	header := []byte(".snd")
	for _, field := range []uint32{24, 2 * samples, 3, 24000, 1} { // 16 bits, 24 kHz, mono
		header = binary.BigEndian.AppendUint32(header, field)
	}
	return write(t, "short.au", append(header, make([]byte, 2*samples)...))
}

// receipts returns the lines of --json.
func receipts(t *testing.T, stdout string) (all []echo.Receipt) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var r echo.Receipt
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.InferenceID != "" {
			all = append(all, r)
		}
	}
	return all
}

// With only an API key, a file is spoken in a conversation that is created and ended, and the
// address of the face is printed.
func TestSendOverREST(t *testing.T) {
	server := withMessages(t)
	r := call(t, "send", "--json", "--pal", "p123", short(t))
	if r.code != 0 || !strings.Contains(r.stderr, "https://tavus.daily.co/") ||
		!strings.Contains(r.stderr, "open this address in a browser") {
		t.Errorf("%+v", r)
	}
	all := receipts(t, r.stdout)
	if len(all) != 1 || all[0].Outcome != echo.Sent || all[0].SpokenBy != echo.ByClock ||
		all[0].Delivery != echo.Acknowledged {
		t.Errorf("%+v", all)
	}
	conversations := server.Conversations()
	if len(conversations) != 1 || len(server.Open()) != 0 {
		t.Fatalf("%+v", conversations)
	}
	report := server.Close()[conversations[0].ID]
	if report.Samples != all[0].Samples || report.ComplaintCount != 0 ||
		report.Utterances[0].PlayedSamples != all[0].Samples {
		t.Errorf("%+v", report)
	}
}

// Messages and text are sent to a conversation by its id.
func TestMessagesOverREST(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	for _, arguments := range [][]string{
		{"respond", "What", "time", "is", "it?"},
		{"context", "append", "It rains."},
		{"context", "overwrite", strings.Repeat("It rains. ", 2000)}, // more than an app-message of a room has
		{"sensitivity", "--pause", "low"},
		{"tool-result", "call1", "sunny"},
		{"emotion", "happiness"},
		{"interrupt"},
		{"say", "Hi."},
	} {
		if r := call(t, append(arguments, "--conversation", id)...); r.code != 0 {
			t.Errorf("%v: %+v", arguments, r)
		}
	}
	report := server.Close()[id]
	if len(report.Responds) != 1 || len(report.Contexts) != 2 || len(report.Sensitivities) != 1 ||
		len(report.ToolResults) != 1 ||
		len(report.Emotions) != 1 || len(report.Interrupts) != 1 || len(report.Utterances) == 0 ||
		report.ComplaintCount != 0 {
		t.Errorf("%+v", report)
	}
	if len(server.Open()) != 1 {
		t.Error("a conversation of somebody else's was ended")
	}
}

// A refusal of the service exits with 4 and quotes it, in mid-speech too.
func TestRefusalsOverREST(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	server.Fail(tavustest.Fault{Path: "/v2/conversations/" + id + "/send", Skip: 1, Status: 404,
		Body: `{"error":"The conversation's room is no longer available."}`})
	if r := call(t, "send", "--conversation", id, short(t)); r.code != 4 ||
		!strings.Contains(r.stderr, "room is no longer available") {
		t.Errorf("%+v", r)
	}
	server.Heal()
	if r := call(t, "send", "--conversation", "c0ffee00000000ff", short(t)); r.code != 4 ||
		!strings.Contains(r.stderr, "Invalid conversation_id") {
		t.Errorf("%+v", r)
	}
	if r := call(t, "conversation", "end", id); r.code != 0 {
		t.Fatal(r)
	}
	if r := call(t, "send", "--conversation", id, short(t)); r.code != 4 || !strings.Contains(r.stderr, "has ended") {
		t.Errorf("%+v", r)
	}
}

// If nobody knows whether a message was delivered, the receipt and the exit code say so.
func TestUncertainDeliveryOverREST(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	server.Fail(tavustest.Fault{Path: "/v2/conversations/" + id + "/send", Skip: 1, Times: 1, Status: 504,
		After: true, Body: `{"error":"The app message may have been delivered; check before retrying."}`})
	r := call(t, "send", "--json", "--conversation", id, short(t))
	all := receipts(t, r.stdout)
	if r.code != 6 || !strings.Contains(r.stderr, "may have been delivered") || len(all) != 1 ||
		all[0].UncertainSamples == 0 || all[0].Samples == 0 {
		t.Errorf("%+v", r)
	}
	r = call(t, "send", "--json", "--on-loss", "resume", "--conversation", id, short(t))
	if r.code != 0 {
		t.Errorf("%+v", r)
	}
}

// With events from webhooks, the receipt is by event.
func TestWebhookOverREST(t *testing.T) {
	server := withMessages(t)
	address := testenv.FreeAddress(t)
	server.AppMessages.Replica = &replica.Options{}
	url := "http://" + address + "/callbacks"
	r := call(t, "send", "--json", "--pal", "p123", "--webhook", address+"/callbacks", "--webhook-url", url,
		silence(t, 6*24000)) // a busy machine reports that it began before it is over
	all := receipts(t, r.stdout)
	if r.code != 0 || len(all) != 1 || all[0].Outcome != echo.Finished || all[0].SpokenBy != echo.ByEvent {
		t.Errorf("%+v", r)
	}
	if body := server.Conversations()[0].Body; body["callback_url"] != url {
		t.Errorf("%v", body)
	}
	server.Close()
	http.DefaultClient.CloseIdleConnections()
}

// A --via that does not fit the named room is refused in one line, before anything is created.
func TestViaRefusals(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	speech := "../testdata/speech.wav"
	for want, arguments := range map[string][]string{
		"--via train: must be one of rest":     {"send", "--via", "train", "--pal", "p1", speech},
		"--via livekit needs the room":         {"send", "--via", "livekit", "--pal", "p1", speech},
		"--to names another room":              {"send", "--via", "rest", "--to", "http://127.0.0.1:1", speech},
		"--via rest needs a conversation":      {"send", "--via", "rest", speech},
		"--as microphone needs a room":         {"send", "--via", "rest", "--pal", "p1", "--as", "microphone", speech},
		"--hear needs a room":                  {"send", "--via", "rest", "--conversation", id, "--hear", "x.wav", speech},
		"--barge-in without --webhook needs":   {"send", "--via", "rest", "--conversation", id, "--barge-in", speech},
		"--webhook receives the events of a":   {"send", "--to", "http://127.0.0.1:1", "--webhook", "127.0.0.1:0", speech},
		"hear needs a room, and there is none": {"hear", "--via", "rest", "--to", "tavus:" + id},
	} {
		if r := call(t, arguments...); r.code != 2 || strings.Count(r.stderr, "\n") != 1 ||
			!strings.Contains(r.stderr, want) {
			t.Errorf("%v: %+v", arguments, r)
		}
	}
	unset(t, "TAVUS_API_KEY")
	for _, arguments := range [][]string{{"send", "--conversation", id, speech}, {"say", "--conversation", id, "Hi."},
		{"send", "--to", "tavus:" + id, speech}} {
		if r := call(t, arguments...); r.code != 2 || !strings.Contains(r.stderr, "TAVUS_API_KEY") {
			t.Errorf("%v without a key: %+v", arguments, r)
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// The plan shows the chunks as they will be sent.
func TestChunksOverREST(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	if r := call(t, "send", "--chunk", "2s", "--conversation", id, "../testdata/speech.wav"); r.code != 7 ||
		!strings.Contains(r.stderr, "65536") {
		t.Errorf("%+v", r)
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if r := call(t, "send", "--chunk", "500ms", "--conversation", id, short(t)); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if took := len(server.MessageTimes()); took < 3 || took > 4 {
		t.Errorf("%d messages of half a second", took)
	}
}

// A trace of speech over REST is recorded without the key, and can be replayed there.
func TestTraceAndReplayOverREST(t *testing.T) {
	server := withMessages(t)
	id := server.Add("somebody's")
	file := filepath.Join(t.TempDir(), "trace.ndjson")
	r := call(t, "send", "--json", "--trace", file, "--conversation", id, short(t))
	all := receipts(t, r.stdout)
	if r.code != 0 || len(all) != 1 || all[0].AcknowledgedSamples != all[0].Samples {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), canary) || !strings.Contains(string(text), all[0].InferenceID) {
		t.Errorf("%.300s, %v", text, err)
	}
	if r := call(t, "replay", "--conversation", id, file); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if report := server.Close()[id]; len(report.Utterances) != 2 ||
		report.Utterances[0].Samples != report.Utterances[1].Samples || report.ComplaintCount != 0 {
		t.Errorf("%+v", report)
	}
}
