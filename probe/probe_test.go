package probe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/probe"
)

func ExampleInspect() {
	file, err := os.Open("../testdata/speech.wav")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	report, err := probe.Inspect(context.Background(), "speech.wav", file, audio.PrepareOptions{},
		probe.Messages{Conversation: "c1", Samples: 1200})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %d Hz, %.1f s\n%s\n", report.Codec, report.Rate, report.Seconds, report.Verdict)
	// Output:
	// pcm_s16le, 22050 Hz, 7.3 s
	// echocast resamples it from 22050 to 24000 Hz and sends 147 messages of at most 50 ms
}

// The report has what was found before the input broke.
func TestInspectReportsWhatItCouldRead(t *testing.T) {
	report, err := probe.Inspect(t.Context(), "x", strings.NewReader("no audio"), audio.PrepareOptions{},
		probe.Messages{Samples: 1200})
	if !errors.Is(err, audio.ErrFormat) || report.Source != "x" || report.Container != "" {
		t.Errorf("%+v, %v", report, err)
	}
	whole, err := os.ReadFile("../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	broken := &brokenReader{strings.NewReader(string(whole[:44+2*22050]))}
	report, err = probe.Inspect(t.Context(), "x", broken, audio.PrepareOptions{}, probe.Messages{Samples: 1200})
	if _, ok := errors.AsType[*audio.InputError](err); !ok || report.Seconds != 1 || report.Plan != nil ||
		!strings.Contains(report.Verdict, "before the break") {
		t.Errorf("%+v, %v", report, err)
	}
}

// brokenReader fails at its end with an error that is not io.EOF.
type brokenReader struct{ *strings.Reader }

func (b *brokenReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		err = errors.New("the disk is gone")
	}
	return n, err
}
