package audio

import "bufio"

// MP3Decoder, OpenMP3, OpenMP3Ahead and SniffMP3 let the tests outside the package, which
// may use audiotest, reach the decoder.
type MP3Decoder = mp3Decoder

var (
	OpenMP3Ahead = openMP3
	SniffMP3     = beginsMP3
)

func OpenMP3(r *bufio.Reader) (*MP3Decoder, error) { return openMP3(r, 1) }
