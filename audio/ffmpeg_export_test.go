package audio

import "time"

// SetFFmpegStall changes how long the ffmpeg process of an input may output nothing.
func SetFFmpegStall(in *Input, stall time.Duration) { in.dec.(*ffmpeg).stall = stall }
