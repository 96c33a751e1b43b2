package audio

import (
	"testing"
	"time"
)

// SetFFmpegStall changes for one test how long an ffmpeg that gives nothing is
// waited for.
func SetFFmpegStall(t *testing.T, stall time.Duration) {
	was := ffmpegStall
	ffmpegStall = stall
	t.Cleanup(func() { ffmpegStall = was })
}
