package audio_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// rawJSON reads 16-bit samples at 24 kHz out of lines of JSON.
func rawJSON(j audio.JSONOptions) *audio.Options {
	j.Encoding = "s16le"
	return &audio.Options{Encoding: "ndjson", JSON: j, Raw: audio.Format{Rate: 24000, Channels: 1}}
}

// inLines puts b into lines of odd lengths, each as line writes it.
func inLines(b []byte, line func(part []byte) string) string {
	var text strings.Builder
	for n := 1; len(b) > 0; n = n%700 + 61 {
		n = min(n, len(b))
		text.WriteString(line(b[:n]))
		b = b[n:]
	}
	return text.String()
}

func base64Line(format string, encoding *base64.Encoding) func([]byte) string {
	return func(part []byte) string { return fmt.Sprintf(format, encoding.EncodeToString(part)) }
}

func hexLine(format string) func([]byte) string {
	return func(part []byte) string { return fmt.Sprintf(format, hex.EncodeToString(part)) }
}

// Samples that are split between lines are put together, whatever is around
// them.
func TestNDJSON(t *testing.T) {
	pcm, want := to16(speechLike(3000, audio.Format{Rate: 24000, Channels: 1}))
	for name, c := range map[string]struct {
		opts    audio.JSONOptions
		line    func([]byte) string
		skipped int // of other lines put around
		other   string
	}{
		"base64":               {audio.JSONOptions{}, base64Line(`{"delta":"%s"}`+"\n", base64.StdEncoding), 2, `{"type":"session.created","session":{"delta":1}}`},
		"OpenAI Realtime":      {audio.JSONOptions{}, base64Line(`{"type":"response.output_audio.delta","delta":"%s"}`+"\n", base64.StdEncoding), 2, `{"type":"response.output_audio_transcript.delta","delta":"Hello"}`},
		"OpenAI speech events": {audio.JSONOptions{Field: "audio"}, base64Line("data: {\"type\":\"speech.audio.delta\",\"audio\":\"%s\"}\n\n", base64.StdEncoding), 0, "data: [DONE]"},
		"ElevenLabs":           {audio.JSONOptions{Field: "audio"}, base64Line(`{"audio":"%s","isFinal":null,"alignment":{"chars":["a"]}}`+"\r\n", base64.StdEncoding), 2, `{"audio":null,"isFinal":true}`},
		"MiniMax":              {audio.JSONOptions{Field: "data.audio", Payload: "hex"}, hexLine("data: {\"data\":{\"audio\":\"%s\",\"status\":1},\"trace_id\":\"x\"}\n\n"), 0, ": keep-alive\nevent: message\nid: 4\nretry: 100"},
		"hex in capitals":      {audio.JSONOptions{Payload: "hex"}, func(p []byte) string { return fmt.Sprintf("{\"delta\":\"%X\"}\n", p) }, 2, `{}`},
		"URL alphabet":         {audio.JSONOptions{}, base64Line(`{"delta":"%s"}`+"\n", base64.URLEncoding), 2, `{"delta":null}`},
		"no padding":           {audio.JSONOptions{Payload: "base64"}, base64Line(` {"delta" : "%s"} `+"\n", base64.RawStdEncoding), 0, ""},
		"URL, no padding":      {audio.JSONOptions{Field: "delta"}, base64Line(`{"delta":"%s"}`+"\n", base64.RawURLEncoding), 0, "\xef\xbb\xbf"},
		"inside arrays":        {audio.JSONOptions{Field: "a.1.parts.0.data"}, base64Line(`{"a":[{},{"parts":[{"mime":"audio/pcm","data":"%s"}]}]}`+"\n", base64.StdEncoding), 2, `{"a":[{"parts":[{"data":"AAAA"}]}]}`},
		"escaped slashes": {audio.JSONOptions{}, func(p []byte) string {
			return strings.ReplaceAll(base64Line(`{"delta":"%s"}`, base64.StdEncoding)(p), "/", `\/`) + "\n"
		}, 0, ""},
		"type by its end": {audio.JSONOptions{Field: "b", Type: "chunk"}, base64Line(`{"type":"audio_chunk","b":"%s"}`+"\n", base64.StdEncoding), 2, `{"type":"chunk_info","b":"AAAA"}`},
		"empty audio":     {audio.JSONOptions{}, base64Line(`{"delta":"%s"}`+"\n", base64.StdEncoding), 0, `{"delta":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			text := c.other + "\n" + inLines(pcm, c.line) + c.other
			opts := rawJSON(c.opts)
			audiotest.TestSource(t, func() (audio.Source, error) { return audio.Open(strings.NewReader(text), opts) }, want)
			got, in, err := decode(t, iotest.OneByteReader(strings.NewReader(text)), opts)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("byte by byte: %d samples, %v", len(got), err)
			}
			var warnings []string
			if c.skipped > 0 {
				warnings = []string{fmt.Sprintf("left out %d JSON objects without audio", c.skipped)}
			}
			if !slices.Equal(in.Warnings(), warnings) {
				t.Errorf("warnings %q, want %q", in.Warnings(), warnings)
			}
		})
	}
}

// What the bytes are is found as in any input.
func TestNDJSONContainers(t *testing.T) {
	pcm, want := to16(speechLike(3000, audio.Format{Rate: 24000, Channels: 1}))
	flac, opus := readFile(t, flacFiles, "24000hz_mono_16bit.flac"), readFile(t, oggFiles, "celt_mono_20ms.opus")
	for name, c := range map[string]struct {
		file []byte
		want []float32
		in   string
	}{
		"WAV":  {wavFile(mono16(24000), data(pcm)), want, "ndjson, wav"},
		"FLAC": {flac, mustDecode(t, flac), "ndjson, flac"},
		"Opus": {opus, mustDecode(t, opus), "ndjson, ogg"},
	} {
		text := inLines(c.file, base64Line(`{"delta":"%s"}`+"\n", base64.StdEncoding))
		got, in, err := decode(t, strings.NewReader(text), &audio.Options{Encoding: "ndjson"})
		if err != nil || !slices.Equal(got, c.want) || in.Info().Container != c.in {
			t.Errorf("%s: %d samples, %v, want %d", name, len(got), err, len(c.want))
		}
	}
}

// A WAV in every line is one WAV: its headers are not heard.
func TestNDJSONRepeatedWAV(t *testing.T) {
	pcm, want := to16(speechLike(3000, audio.Format{Rate: 24000, Channels: 1}))
	line := base64Line(`{"delta":"%s"}`+"\n", base64.StdEncoding)
	for name, wrap := range map[string]func(part []byte) []byte{
		"own lengths":    func(p []byte) []byte { return wavFile(mono16(24000), data(p)) },
		"chunks behind":  func(p []byte) []byte { return wavFile(mono16(24000), data(p), other("LIST", 40)) },
		"unknown length": func(p []byte) []byte { return wavFile(mono16(24000), claim(0xffffffff, p)) },
	} {
		var text string
		for part := range slices.Chunk(pcm, 1000) {
			text += line(wrap(part))
		}
		got, _, err := decode(t, strings.NewReader(text), &audio.Options{Encoding: "ndjson"})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d samples, %v, want %d", name, len(got), err, len(want))
		}
	}
	text := line(wavFile(mono16(24000), data(pcm[:1000]))) + line(wavFile(mono16(16000), data(pcm[1000:2000])))
	got, _, err := decode(t, strings.NewReader(text), &audio.Options{Encoding: "ndjson"})
	if err == nil || !strings.Contains(err.Error(), "turns the stream from 24000 Hz mono pcm_s16le into 16000 Hz mono") || !slices.Equal(got, want[:500]) {
		t.Errorf("another rate: %d samples, %v", len(got), err)
	}
	claimed := wavFile(mono16(24000), data(pcm), other("LIST", 40))
	got, in, err := decode(t, strings.NewReader(inLines(claimed, line)), &audio.Options{Encoding: "ndjson"})
	if err != nil || !slices.Equal(got, want) || in.Info().Declared != 3000 {
		t.Errorf("one WAV over many lines: %d samples, %v, %+v", len(got), err, in.Info())
	}
}

// A bad line is named; what came before it is heard.
func TestNDJSONBadLines(t *testing.T) {
	good := `{"delta":"AQACAA=="}` + "\n\n"
	for name, c := range map[string]struct{ line, want string }{
		"no JSON":       {"hello there", "line 3: no JSON object"},
		"cut JSON":      {`{"delta":"AAAA`, "line 4: no JSON object"},
		"array":         {`["AAAA"]`, "line 3: no JSON object"},
		"deep":          {strings.Repeat(`{"a":`, 100), "line 3: no JSON object: it nests deeper than 64"},
		"wrong bracket": {`{"a":[1}`, "line 3: no JSON object"},
		"bad number":    {`{"a":1x}`, "line 3: no JSON object"},
		"bad escape":    {`{"a":"\x"}`, "line 3: no JSON object"},
		"number":        {`{"delta":12}`, `line 3: "delta" is no string`},
		"object":        {`{"delta":{"text":"AAAA"}}`, `line 3: "delta" is no string`},
		"no base64":     {`{"delta":"AA!A"}`, "line 3: the audio is not in base64"},
		"cut base64":    {`{"delta":"AAAAA"}`, "line 3: the audio is not in base64"},
		"event is data": {"data: oops", "line 3: no JSON object"},
	} {
		got, in, err := decode(t, strings.NewReader(good+c.line+"\n"+good), rawJSON(audio.JSONOptions{}))
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if in == nil || !slices.Equal(got, []float32{1. / 32768, 2. / 32768}) {
			t.Errorf("%s: %v before the bad line", name, got)
		}
	}
	_, _, err := decode(t, strings.NewReader(`{"delta":"xyz"}`), rawJSON(audio.JSONOptions{Payload: "hex"}))
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "line 1: the audio is not in hexadecimal") {
		t.Errorf("no hex: %v", err)
	}
}

func TestNDJSONRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		opts *audio.Options
		want string
	}{
		"other field":      {`{"audio":"AAAA"}`, &audio.Options{Encoding: "ndjson"}, `this is JSON (1 object) without audio in "delta"; it has "audio: AAAA"`},
		"inside itself":    {`{}`, &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Encoding: "ndjson"}}, "inside lines of JSON"},
		"unknown payload":  {`{}`, &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Payload: "base32"}}, `no payload is called "base32"`},
		"unknown encoding": {`{}`, &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Encoding: "s17"}}, `no encoding is called "s17"`},
		"no audio inside":  {`{"delta":"aGVsbG8gdGhlcmUgeW91"}`, &audio.Options{Encoding: "ndjson"}, "this is text"},
		"bad first line":   {"hello", &audio.Options{Encoding: "ndjson"}, "line 1: no JSON object"},
	} {
		_, err := audio.Open(strings.NewReader(c.text), c.opts)
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := audio.Open(strings.NewReader(""), &audio.Options{Encoding: "ndjson"}); !errors.Is(err, audio.ErrEmpty) {
		t.Errorf("nothing: %v, want ErrEmpty", err)
	}
}

func TestNDJSONBroken(t *testing.T) {
	broke := errors.New("the cable is out")
	text := `{"delta":"AQACAA=="}` + "\n" + `{"delta":"AQ`
	in, err := audio.Open(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broke)), rawJSON(audio.JSONOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	audiotest.TestBroken(t, in, []float32{1. / 32768, 2. / 32768}, broke)
}

// Each line is heard before the next one is written.
func TestNDJSONKeepsPaceWithAPipe(t *testing.T) {
	reader, writer := io.Pipe()
	write := func(i int) {
		sample := binary.LittleEndian.AppendUint16(nil, uint16(i+1))
		fmt.Fprintf(writer, "{\"delta\":%q}\n", base64.StdEncoding.EncodeToString(sample))
	}
	go write(0)
	in, err := audio.Open(reader, rawJSON(audio.JSONOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 100)
	for i := range 20 {
		if i > 0 {
			go write(i)
		}
		n, err := in.ReadSamples(buf)
		if err != nil || n != 1 || buf[0] != float32(i+1)/32768 {
			t.Fatalf("line %d: %v, %v", i, buf[:n], err)
		}
	}
	writer.Close()
	if _, err := in.ReadSamples(buf); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// Whatever the lines are, reading ends, with samples or a one-line error.
func FuzzNDJSON(f *testing.F) {
	f.Add([]byte(`{"delta":"AQACAA=="}`+"\n"+`data: {"delta":"_-8"}`+"\ndata: [DONE]\n"), false)
	f.Add([]byte("event: x\r\n"+`{"delta":"00ff"}`+"\r\n"+`{"type":"text","delta":"hi"}`), true)
	f.Fuzz(func(t *testing.T, text []byte, isHex bool) {
		if len(text) > 1<<14 {
			t.Skip("long inputs add nothing")
		}
		opts := rawJSON(audio.JSONOptions{})
		if isHex {
			opts.JSON.Payload = "hex"
		}
		in, err := audio.Open(bytes.NewReader(text), opts)
		if err != nil {
			singleLine(t, err)
			return
		}
		readFuzzed(t, in)
	})
}

// Any bytes come through any lines.
func TestNDJSONRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var text bytes.Buffer
		var all []byte
		for range random.IntN(20) + 1 {
			part := make([]byte, random.IntN(9))
			for i := range part {
				part[i] = byte(random.Uint32())
			}
			all = append(all, part...)
			_ = json.NewEncoder(&text).Encode(map[string]any{"x": []int{1}, "delta": part})
		}
		got, _, err := decode(t, &text, rawJSON(audio.JSONOptions{}))
		if err != nil || !slices.Equal(got, from16(all)) {
			t.Fatalf("%d samples, %v, want %d", len(got), err, len(all)/2)
		}
	}
}
