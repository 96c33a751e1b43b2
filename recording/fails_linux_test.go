package recording

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"

	"echocast/internal/testenv"
)

// A recording that cannot begin, because its first picture cannot be drawn, leaves no pipe to
// ffmpeg open.
func TestFailedBeginningLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	program := testenv.WriteScript(t, dir, "ffmpeg", "exec sleep 1000")
	undrawn := errors.New("no picture")
	options := &Options{FFmpeg: program, Picture: func([]int16) (*image.YCbCr, error) { return nil, undrawn }}
	before := openFiles(t)
	const trials = 20
	for range trials {
		if _, err := Create(filepath.Join(dir, "call.mp4"), options); !errors.Is(err, undrawn) {
			t.Fatal(err)
		}
	}
	if after := openFiles(t); after >= before+trials/2 { // other tests may open some
		t.Errorf("%d files were open, and then %d", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(files)
}
