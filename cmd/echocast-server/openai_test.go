package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"echocast/echo"
	"echocast/gateway"
	"echocast/openai/openaitest"
)

// A program that uses OpenAI's own library is started with the command of the page, and the
// replica of a rehearsal says the service's answer.
func TestProgramWithOpenAILibrary(t *testing.T) {
	needNode(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/audio/speech" || r.Header.Get("Authorization") != "Bearer k" {
			t.Errorf("the service was asked %s", r.URL)
		}
		w.Header().Set("Content-Type", "audio/pcm")
		_, _ = w.Write(make([]byte, 48000))
	}))
	defer service.Close()
	page, err := os.ReadFile("../../docs/bots.md")
	if err != nil {
		t.Fatal(err)
	}
	const line = "OPENAI_BASE_URL=http://127.0.0.1:8880/openai/$ID node my-program.mjs"
	if !strings.Contains(string(page), line) {
		t.Fatalf("the page does not say %s", line)
	}
	program, _ := filepath.Abs(filepath.Join(nodePrograms, "openai-speech.mjs")) // of the working folder
	out := paste(t, fmt.Sprintf(`set -e
export OPENAI_API_KEY=k
bin/echocast serve --listen 127.0.0.1:8880 --openai-url %s/v1 --rehearse & sleep 1
ID=$(curl -s http://127.0.0.1:8880/v1/conversations -d '{"to":"rehearsal"}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
%s
until curl -s http://127.0.0.1:8880/v1/conversations/$ID/utterances | grep '"outcome"'; do sleep 0.1; done
kill %%1; wait %%1
`, service.URL, strings.Replace(line, "my-program.mjs", program, 1)))
	if !strings.Contains(out, "bytes: 48000") || !strings.Contains(out, `"outcome":"finished"`) ||
		!strings.Contains(out, `"samples":24000`) {
		t.Errorf("the lines print\n%s", out)
	}
}

// A program that uses OpenAI's own library, with only another base URL, holds a whole Realtime
// session through the gateway: the replica says the answer until the user of the rehearsal
// speaks, and the service learns how much of it was heard.
func TestRealtimeSessionWithOpenAILibrary(t *testing.T) {
	needNode(t)
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/audio/speech" {
			w.Header().Set("Content-Type", "audio/pcm")
			_, _ = w.Write(make([]byte, 4800))
			return
		}
		openaitest.Realtime(t, func(s *openaitest.Session) { s.Answer(make([]byte, 48000), 20) })(w, r)
	}))
	defer service.Close()
	certificate, key := certificateOf(t)
	program, _ := filepath.Abs(filepath.Join(nodePrograms, "openai-app.mjs")) // of the working folder
	out := paste(t, fmt.Sprintf(`set -e
bin/echocast serve --listen 127.0.0.1:8880 --tls-cert %[1]s --tls-key %[2]s --openai-url %[3]s/v1 --rehearse &
until curl -sk https://127.0.0.1:8880/healthz; do sleep 0.1; done
URL=https://127.0.0.1:8880/v1/conversations
ID=$(curl -sk $URL -d '{"to":"rehearsal"}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
NODE_EXTRA_CA_CERTS=%[1]s OPENAI_API_KEY=k OPENAI_BASE_URL=https://127.0.0.1:8880/openai/$ID node %[4]s & PROGRAM=$!
until curl -sk $URL/$ID/utterances | grep -q '"over".*"over".*"phase":"speaking"'; do sleep 0.1; done
until curl -sk $URL/$ID | grep -q '"replica":"speaking"'; do sleep 0.1; done
head -c 96000 /dev/zero | curl -skT - "$URL/$ID/user?format=s16le"
wait $PROGRAM
curl -sk $URL/$ID/utterances
kill %%1; wait %%1
`, certificate, key, service.URL, program))
	var truncated struct {
		Item         string
		Milliseconds float64
	}
	lineOf(t, out, `{"event":"truncated"`, &truncated)
	var all struct{ Utterances []gateway.UtteranceInfo }
	lineOf(t, out, `{"utterances":`, &all)
	if len(all.Utterances) != 3 || truncated.Item != "item_1" || !strings.Contains(out, `"event":"closed","code":1000`) {
		t.Fatalf("the lines print\n%s", out)
	}
	r := all.Utterances[2].Receipt
	if r.Outcome != echo.Interrupted || r.SpokenBy != echo.ByEvent || r.SpokenSeconds <= 0 || r.SpokenSeconds > 19 ||
		math.Abs(truncated.Milliseconds-1000*r.SpokenSeconds) > 1 {
		t.Errorf("the proxy told the service that %v ms were heard, and the receipt is %+v", truncated.Milliseconds, r)
	}
}

// lineOf decodes the line of an output that begins so.
func lineOf(t *testing.T, out, begins string, into any) {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, begins) {
			if err := json.Unmarshal([]byte(line), into); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			return
		}
	}
	t.Fatalf("no line begins with %s:\n%s", begins, out)
}

// certificateOf writes the certificate and the key of 127.0.0.1 that tests have.
func certificateOf(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return write("c.pem", "CERTIFICATE", server.Certificate().Raw), write("k.pem", "PRIVATE KEY", private)
}
