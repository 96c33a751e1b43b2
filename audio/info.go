package audio

// Info describes a recognised input.
type Info struct {
	// Container is "wav", "aiff", "au", "mp3", "ogg", "flac", "raw", "ffmpeg",
	// or "ndjson, " and one of these.
	Container string
	Codec     string // for example "pcm_s16le", "MPEG-2 layer III" or "Opus"
	Format    Format
	// Declared is the length in frames that the header claims, without the encoder's
	// delay and padding; -1 if it claims none. It is only a claim: never allocate by
	// it.
	Declared int64
}
