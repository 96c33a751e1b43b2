package audio_test

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/pcm"
)

// onceBroken returns an error together with its last bytes, and only once: afterwards it
// says that it has ended.
type onceBroken struct {
	left []byte
	err  error
}

func (r *onceBroken) Read(p []byte) (n int, err error) {
	n = copy(p, r.left)
	if r.left = r.left[n:]; len(r.left) > 0 {
		return n, nil
	}
	err, r.err = r.err, io.EOF
	return n, err
}

// An input that breaks in the read that returns its last bytes has broken, also where it says
// so only once, and where its last bytes may begin another file.
func TestErrorWithTheLastBytes(t *testing.T) {
	inputs := map[string][]byte{
		"a WAV that may go on": slices.Concat(pcm.WAVHeader(24000, 1, math.MaxUint32), make([]byte, 9600), []byte("RIFF")),
	}
	for _, folder := range []string{"flac", "mp3", "ndjson", "ogg", "wav"} {
		files, err := filepath.Glob("../testdata/" + folder + "/*.*")
		if err != nil || len(files) == 0 {
			t.Fatal(folder, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			inputs[file] = data[:len(data)*9/10]
		}
	}
	broken := errors.New("the line broke")
	for name, data := range inputs {
		in, err := audio.Open(&onceBroken{data, broken}, nil)
		if errors.Is(err, audio.ErrFormat) {
			continue
		}
		if err == nil {
			_, err = audiotest.Collect(in)
			_ = in.Close()
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s ends with %v", name, err)
		}
	}
}
