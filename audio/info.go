package audio

// Info says what an input was found to be.
type Info struct {
	Container string // "wav", "aiff", "au", "mp3" or "raw"
	Codec     string // for example "pcm_s16le" or "MPEG-2 layer III"
	Format    Format
	// Declared is the length in frames that the header claims, after the
	// encoder's delay and padding are taken off; -1 where it claims none.
	// It is a claim: never allocate on its word.
	Declared int64
}
