package audio

// MP3Decoder, OpenMP3 and SniffMP3 let the tests outside the package, which
// may use audiotest, reach the decoder.
type MP3Decoder = mp3Decoder

var (
	OpenMP3  = openMP3
	SniffMP3 = sniffMP3
)
