package audio_test

import (
	"fmt"
	"os"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// What is in the file does not depend on its name, nor on whether it is a file:
// any io.Reader will do.
func ExampleOpen() {
	file, err := os.Open("../testdata/mp3/speech_22050hz_mono_cbr64.mp3")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	in, err := audio.Open(file, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()
	src, err := audio.Resample(audio.Mono(in), 24000)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	samples, err := audiotest.Collect(src)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %s: %d samples at 24000 Hz\n", in.Info().Codec, in.Format(), len(samples))
	// Output:
	// MPEG-2 layer III, 22050 Hz mono: 14400 samples at 24000 Hz
}
