package audio

// Info describes a recognised input.
type Info struct {
	// Container is "wav", "aiff", "au", "mp3", "ogg", "flac", "raw" or "ffmpeg", or "ndjson, "
	// followed by one of these.
	Container string
	Codec     string // for example "pcm_s16le", "MPEG-2 layer III" or "Opus"
	Format    Format
	// Declared is the length in frames that the header states, without the encoder's delay
	// and padding; -1 if it states none. It may be wrong: never allocate memory by it.
	Declared int64
}
