package cli

import (
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/rtc"
)

// A replica that takes smaller messages than is usual says so in its answer. What
// would not fit is refused before anything is said, and not in the middle of it.
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
