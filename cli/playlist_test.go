package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
)

// An utterance that is not confirmed as heard does not end a playlist: the other inputs are
// spoken, and the end lists the unconfirmed ones. With --stop-on-error the playlist ends
// there.
func TestPlaylistContinuesAfterUnconfirmedUtterance(t *testing.T) {
	speech, err := os.ReadFile("../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short.wav")
	if err := os.WriteFile(short, speech[:44+2*2205], 0o600); err != nil {
		t.Fatal(err)
	}
	lost := replica.Options{Faults: replica.Faults{Drop: []replica.Sent{replica.SentStopped}}}
	for name, c := range map[string]struct {
		arguments []string
		receipts  int
		says      string
	}{
		"goes on":       {nil, 2, "echocast: sent, but not confirmed as heard: " + short + ", " + short + "\n"},
		"stop on error": {[]string{"--stop-on-error"}, 1, "echocast: sent, but not confirmed as heard\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, ended := scripted(testwait.Context(t), t, lost)
			code, stdout,
				stderr := run(testwait.Context(t), append([]string{"send", "--to", url, "--json", short, short}, c.arguments...)...)
			ended()
			receipts := receiptsOf(t, stdout)
			if code != exitUnverified || len(receipts) != c.receipts || receipts[len(receipts)-1].Outcome != echo.Unverified ||
				!strings.HasSuffix(stderr, c.says) {
				t.Errorf("code %d, %d receipts, %s", code, len(receipts), stderr)
			}
		})
	}
}
