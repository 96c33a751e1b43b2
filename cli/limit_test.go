package cli

import (
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/rtc"
)

// A replica with a smaller message limit than usual says so in its answer. Messages that would
// not fit are refused before anything is spoken, not in the middle.
func TestPeerWithSmallMessageLimit(t *testing.T) {
	l, err := rtc.Listen("127.0.0.1:0", &rtc.Options{MaxMessage: 2000})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, _, stderr := run(testwait.Context(t), "send", "--to", l.URL(), "--chunk", "50ms", "../testdata/speech.wav")
	if code != exitTooLong || !strings.Contains(stderr, "over the limit of 2000; the longest chunk that fits is") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
