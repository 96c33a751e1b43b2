package audio

// Info says what an input was found to be.
type Info struct {
	// Container is "wav", "aiff", "au", "mp3", "ogg", "flac", "raw", "ffmpeg",
	// or "ndjson, " and one of these.
	Container string
	Codec     string // for example "pcm_s16le", "MPEG-2 layer III" or "Opus"
	Format    Format
	// Declared is the length in frames that the header claims, after the
	// encoder's delay and padding are taken off; -1 where it claims none.
	// It is a claim: never allocate on its word.
	Declared int64
}
