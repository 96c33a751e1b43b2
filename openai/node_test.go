package openai_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/nodetest"
	"echocast/internal/testwait"
	"echocast/openai"
	"echocast/openai/openaitest"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

const nodePrograms = "../carrier/carriertest/node"

// needNode skips the test if OpenAI's library for Node.js is not installed, or fails it if
// ECHOCAST_REQUIRE_BROWSER is set.
func needNode(t *testing.T) {
	t.Helper()
	nodetest.Need(t, nodePrograms, "openai", "ECHOCAST_REQUIRE_BROWSER")
}

// answerSeconds is the length of an answer, at once, of the stand-in for the service. The
// replica plays no more of it than it was sent, about a second ahead: the user interrupts it
// however slow the machine is.
const answerSeconds = 30

// speaksRealtime is a stand-in for the service. It hears the user begin to speak as soon as the
// replica speaks (cut), and answers a truncation.
func speaksRealtime(t *testing.T, cut <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/audio/speech" {
			var asked struct {
				StreamFormat string `json:"stream_format"`
			}
			_ = json.NewDecoder(r.Body).Decode(&asked)
			body := second()
			w.Header().Set("Content-Type", "audio/pcm")
			if asked.StreamFormat == "sse" {
				body = asServerSentEvents(body)
				w.Header().Set("Content-Type", "text/event-stream")
			}
			_, _ = w.Write(body)
			return
		}
		openaitest.Realtime(t, func(s *openaitest.Session) {
			s.Answer(second(), answerSeconds)
			testwait.Came(t, cut)
			s.Send(`{"type":"input_audio_buffer.speech_started","audio_start_ms":900,"item_id":"item_2"}`)
		})(w, r)
	}
}

// A program that uses OpenAI's own library, with only another base URL, makes the replica
// speak: by /v1/audio/speech, whole and as events, and in a Realtime session, where the user
// interrupts and the service learns what was heard. The library accepts https only.
func TestProgramWithOpenAILibrary(t *testing.T) {
	needNode(t)
	cut := make(chan struct{})
	var mu sync.Mutex
	played, heardAtStop := 0, -1
	place := roomtest.Open(&replica.Options{
		OnSound: func(_ time.Time, _ int, samples []int16) {
			mu.Lock()
			defer mu.Unlock()
			before := played
			if played += len(samples); before < 60000 && played >= 60000 { // half a second of the session
				close(cut)
			}
		},
	})
	defer place.Close()
	joined, err := room.Join(testwait.Context(t), place.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer joined.Close()
	var receipts []echo.Receipt
	session, err := echo.NewSession(joined.Stage(), &echo.Options{
		HeardTimeout: testwait.Limit, InterruptTimeout: testwait.Limit,
		OnReceipt: func(r echo.Receipt) {
			mu.Lock()
			defer mu.Unlock()
			if receipts = append(receipts, r); r.Outcome == echo.Interrupted {
				heardAtStop = played/24 - 2000
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	service := httptest.NewServer(speaksRealtime(t, cut))
	defer service.Close()
	proxy, err := openai.New(openai.Options{Upstream: service.URL + "/v1", Speaker: session,
		Warn: func(text string) { t.Error(text) }})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	server := httptest.NewTLSServer(proxy)
	defer server.Close()
	lines := runApp(t, server)
	if len(lines) != 5 || lines[0]["sha256"] != sum(second()) || lines[1]["sha256"] != sum(asServerSentEvents(second())) ||
		lines[2]["sha256"] != sum(bytes.Repeat(second(), answerSeconds)) || lines[4]["code"] != 1000.0 {
		t.Fatalf("the program says %v", lines)
	}
	mu.Lock()
	defer mu.Unlock()
	if lines[3]["event"] != "truncated" || lines[3]["item"] != "item_1" || len(receipts) != 3 {
		t.Fatalf("the program says %v, and the receipts are %+v", lines[3], receipts)
	}
	told, _ := lines[3]["milliseconds"].(float64)
	if off := int(told) - heardAtStop; off < -100 || off > 100 {
		t.Errorf("the service was told %v ms, and the replica played %d ms", told, heardAtStop)
	}
	if receipts[0].Samples != 24000 || receipts[1].Samples != 24000 || receipts[0].Words == nil ||
		receipts[0].Words.Text != "Hello there." {
		t.Errorf("the receipts are %+v", receipts)
	}
}

// runApp runs the program, and returns the lines that it prints.
func runApp(t *testing.T, server *httptest.Server) (lines []map[string]any) {
	t.Helper()
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(certificate, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPENAI_BASE_URL", server.URL+"/v1")
	t.Setenv("OPENAI_API_KEY", "key-of-the-program")
	t.Setenv("NODE_EXTRA_CA_CERTS", certificate)
	for line := range nodetest.Start[map[string]any](t, nodePrograms, "openai-app.mjs") {
		lines = append(lines, line)
	}
	return lines
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
