package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program that uses OpenAI's own library is started with the line of the page, and the
// replica of a rehearsal says what the service answers.
func TestAProgramWithOpenAIsLibrary(t *testing.T) {
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
