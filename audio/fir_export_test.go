package audio

// NewFIR gives package audio_test, which alone can import audiotest, the
// resampler to check.
func NewFIR(src Source, rate int) (Source, error) { return newFIR(src, rate) }
