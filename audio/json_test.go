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
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/testwait"
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

// Samples that are split between lines are joined, whatever else the lines contain.
func TestNDJSON(t *testing.T) {
	pcm, want := to16(speechLike(3000, audio.Format{Rate: 24000, Channels: 1}))
	for name, c := range map[string]struct {
		opts    audio.JSONOptions
		line    func([]byte) string
		skipped int // of other lines put around
		other   string
	}{
		"base64": {audio.JSONOptions{}, base64Line(`{"delta":"%s"}`+"\n", base64.StdEncoding),
			2, `{"type":"session.created","session":{"delta":1}}`},
		"OpenAI Realtime": {audio.JSONOptions{}, base64Line(`{"type":"response.output_audio.delta","delta":"%s"}`+"\n",
			base64.StdEncoding), 2, `{"type":"response.output_audio_transcript.delta","delta":"Hello"}`},
		"OpenAI speech events": {audio.JSONOptions{Field: "audio"},
			base64Line("data: {\"type\":\"speech.audio.delta\",\"audio\":\"%s\"}\n\n", base64.StdEncoding), 0, "data: [DONE]"},
		"ElevenLabs": {audio.JSONOptions{Field: "audio"},
			base64Line(`{"audio":"%s","isFinal":null,"alignment":{"chars":["a"]}}`+"\r\n", base64.StdEncoding),
			2, `{"audio":null,"isFinal":true}`},
		"MiniMax": {audio.JSONOptions{Field: "data.audio", Payload: "hex"},
			hexLine("data: {\"data\":{\"audio\":\"%s\",\"status\":1},\"trace_id\":\"x\"}\n\n"), 0,
			": keep-alive\nevent: message\nid: 4\nretry: 100"},
		"hex in capitals": {audio.JSONOptions{Payload: "hex"},
			func(p []byte) string { return fmt.Sprintf("{\"delta\":\"%X\"}\n", p) }, 2, `{}`},
		"URL alphabet": {audio.JSONOptions{}, base64Line(`{"delta":"%s"}`+"\n", base64.URLEncoding),
			2, `{"delta":null}`},
		"no padding": {audio.JSONOptions{Payload: "base64"},
			base64Line(` {"delta" : "%s"} `+"\n", base64.RawStdEncoding), 0, ""},
		"URL, no padding": {audio.JSONOptions{Field: "delta"}, base64Line(`{"delta":"%s"}`+"\n", base64.RawURLEncoding),
			0, "\xef\xbb\xbf"},
		"inside arrays": {audio.JSONOptions{Field: "a.1.parts.0.data"},
			base64Line(`{"a":[{},{"parts":[{"mime":"audio/pcm","data":"%s"}]}]}`+"\n", base64.StdEncoding), 2,
			`{"a":[{"parts":[{"data":"AAAA"}]}]}`},
		"escaped slashes": {audio.JSONOptions{}, func(p []byte) string {
			return strings.ReplaceAll(base64Line(`{"delta":"%s"}`, base64.StdEncoding)(p), "/", `\/`) + "\n"
		}, 0, ""},
		"type by its end": {audio.JSONOptions{Field: "b", Type: "chunk"},
			base64Line(`{"type":"audio_chunk","b":"%s"}`+"\n", base64.StdEncoding), 2, `{"type":"chunk_info","b":"AAAA"}`},
		"empty audio": {audio.JSONOptions{}, base64Line(`{"delta":"%s"}`+"\n", base64.StdEncoding), 0, `{"delta":""}`},
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

// The format of the bytes is detected as in any input.
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

// WAV files in every line are read as one: their headers do not become sound.
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
	if err != nil || len(got) != 500+750 || !slices.Equal(got[:500], want[:500]) {
		t.Errorf("another rate: %d samples, %v", len(got), err)
	}
	claimed := wavFile(mono16(24000), data(pcm), other("LIST", 40))
	got, in, err := decode(t, strings.NewReader(inLines(claimed, line)), &audio.Options{Encoding: "ndjson"})
	if err != nil || !slices.Equal(got, want) || in.Info().Declared != 3000 {
		t.Errorf("one WAV over many lines: %d samples, %v, %+v", len(got), err, in.Info())
	}
}

// An error names the bad line; the audio before it is heard.
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
		"other field": {`{"audio":"AAAA"}`, &audio.Options{Encoding: "ndjson"},
			`this is JSON (1 object) without audio in "delta"; it has "audio: AAAA"`},
		"inside itself": {`{}`, &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Encoding: "ndjson"}},
			"inside lines of JSON"},
		"unknown payload": {`{}`, &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Payload: "base32"}},
			`no payload is called "base32"`},
		"unknown encoding": {`{}`, &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Encoding: "s17"}},
			`no encoding is called "s17"`},
		"no audio inside": {`{"delta":"aGVsbG8gdGhlcmUgeW91"}`, &audio.Options{Encoding: "ndjson"}, "this is text"},
		"bad first line":  {"hello", &audio.Options{Encoding: "ndjson"}, "line 1: no JSON object"},
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
func TestNDJSONStreamsFromPipe(t *testing.T) {
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

// Any lines end in samples or in a one-line error.
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

// Any bytes pass through lines unchanged, however they are split.
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

// Objects may follow each other in any layout, on any number of lines.
func TestJSONObjectLayouts(t *testing.T) {
	one, two := "AQACAA==", "AwAEAA=="
	want := []float32{1. / 32768, 2. / 32768, 3. / 32768, 4. / 32768}
	for name, text := range map[string]string{
		"a row":    `{"delta":"` + one + `"}{"delta":"` + two + `"}`,
		"an array": `[{"delta":"` + one + `"},` + "\n" + `{"delta":"` + two + `"}]`,
		"pretty": "{\n  \"x\": [1, -2.5e3, true, null, {}, []],\n  \"delta\" :\n \"" + one +
			"\"\n}\n{\n\"delta\": \"" + two + "\"\n}\n",
		"pretty events": "event: x\ndata: {\ndata:   \"delta\":\ndata:  \"" + one + "\"\ndata: }\n\ndata: {\"delta\": \"" +
			two + "\"}\n\n",
		"escaped":         `{"delta":"` + `AQAC\u0041A\u003d\u003d` + `"}{"d\u0065lta":"` + two + `"}`,
		"joined texts":    `{"delta":"` + one + two + `"}`,
		"lines in base64": `{"delta":"AQAC\r\nAA==\n"}{"delta":"` + two + `"}`,
		"type behind": `{"delta":"////","type":"text.delta"}{"delta":"` + one +
			`","type":"audio.delta"}{"delta":"` + two + `"}`,
		"null and empty": `{"delta":null}{"delta":""}{}{"delta":"` + one + `"}{"a":{"delta":"////"}}{"delta":"` + two + `"}`,
	} {
		for _, step := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			got, _, err := decode(t, step(strings.NewReader(text)), rawJSON(audio.JSONOptions{}))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
}

// endlessText is an object with a text of n times "AQAB".
func endlessText(before string, n int, after string) io.Reader {
	return io.MultiReader(strings.NewReader(before), &repeated{"AQAB", 4 * n}, strings.NewReader(after))
}

type repeated struct {
	text string
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p)/len(r.text)*len(r.text), r.left)
	if n == 0 {
		n = copy(p, r.text)
	}
	for i := range n {
		p[i] = r.text[i%len(r.text)]
	}
	r.left -= n
	return n, nil
}

// A base64 string of any length is decoded as it arrives, in little memory.
func TestJSONOfAnyLength(t *testing.T) {
	const groups = 2 << 20 // 8 MB of text
	in, err := audio.Open(endlessText(`{"candidates":[{"content":{"parts":[{"inlineData":{"data":"`, groups, `"}}]}}]}`),
		&audio.Options{Encoding: "s16le", Raw: mono24, TrustHeader: true})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	buf, n := make([]float32, 4096), 0
	for err == nil {
		var got int
		got, err = in.ReadSamples(buf)
		n += got
	}
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.EOF) || n != groups*3/2 {
		t.Errorf("%d samples, %v; want %d", n, err, groups*3/2)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("it took %d bytes of memory", grown)
	}
}

// The first samples of a long base64 string are heard before its end.
func TestJSONStreamsLongStrings(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	go func() { _, _ = io.Copy(writer, endlessText(`{"delta":"`, 1<<20, "")) }()
	in, err := audio.Open(reader, rawJSON(audio.JSONOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 100)
	if n, err := in.ReadSamples(buf); err != nil || n == 0 {
		t.Errorf("%d samples, %v", n, err)
	}
}

// A last object that repeats all audio is left out, however long it is. One that only
// resembles it is heard.
func TestJSONSummary(t *testing.T) {
	options := rawJSON(audio.JSONOptions{Field: "audio", Payload: "hex", Summary: "extra"})
	for name, length := range map[string]int{"short": 3000, "long": 2 << 20} {
		if name == "long" && testwait.HasRaceDetector {
			continue
		}
		pcm, want := to16(speechLike(length, mono24))
		text := hexLine(`{"audio":"%s","status":1}` + "\n")
		whole := text(pcm[:length]) + text(pcm[length:])
		got, in, err := decode(t, strings.NewReader(whole+hexLine(`{"audio":"%s","extra":{}}`)(pcm)), options)
		if err != nil || !slices.Equal(got, want) || !strings.Contains(strings.Join(in.Warnings(), ""), "repeats all audio") {
			t.Errorf("%s: %d samples, %v, want %d", name, len(got), err, len(want))
		}
		got, _, err = decode(t, strings.NewReader(text(pcm[:length])+hexLine(`{"audio":"%s","extra":{}}`)(pcm[length:])),
			options)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, a last piece with the mark: %d samples, %v, want %d", name, len(got), err, len(want))
		}
		got, _, err = decode(t, strings.NewReader(hexLine(`{"audio":"%s","extra":{}}`)(pcm)), options)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, alone: %d samples, %v, want %d", name, len(got), err, len(want))
		}
	}
}

// JSON is recognised if a known field has audio with a header; otherwise the error lists the
// fields.
func TestJSONIsRecognised(t *testing.T) {
	pcm, want := to16(speechLike(3000, mono24))
	file := wavFile(mono16(24000), data(pcm))
	coded, hexed := base64.StdEncoding.EncodeToString(file), hex.EncodeToString(file)
	for name, text := range map[string]string{
		"Google":   `{"audioContent":"` + coded + `"}`,
		"pretty":   "{\n \"audioContent\": \"" + coded + "\"\n}",
		"hex":      `data: {"data":{"audio":"` + hexed + `"}}` + "\n\n",
		"events":   "event: x\nid: 1\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"" + coded + "\"}\n\ndata: [DONE]\n",
		"no audio": `{"audio":null}{"text":"hello"}` + `{"audio":"` + coded + `"}{"audio_base64":"////"}`,
	} {
		got, in, err := decode(t, iotest.OneByteReader(strings.NewReader(text)), nil)
		if err != nil || !slices.Equal(got, want) || in.Info().Container != "ndjson, wav" {
			t.Errorf("%s: %d samples, %v", name, len(got), err)
		}
	}
	for text, want := range map[string]string{
		`{"name":"x","version":"1.0"}`:                               `it has "name: x, version: 1.0"`,
		`{"audio":"` + base64.StdEncoding.EncodeToString(pcm) + `"}`: `the audio in "audio" has no header`,
		`{"audio":"` + coded + `","audio_data":"` + coded + `"}`:     `both "audio" and "audio_data" may be the audio`,
		`{"a":1}`: "it has no text",
		`{"error":{"message":"quota\nused","code":429}}`: `reports an error: "quota\nused: 429"`,
		`[{"status":"error","detail":"no voice"}]`:       `reports an error: "no voice"`,
	} {
		_, _, err := decode(t, strings.NewReader(text), nil)
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

// An object that reports an error breaks the input after the audio before it. One that reports
// success does not.
func TestJSONErrors(t *testing.T) {
	good := `{"delta":"AQACAA=="}`
	for text, want := range map[string]string{
		`{"type":"error","message":"over"}`:                       "over",
		`{"error":"over"}`:                                        "over",
		`{"error":{"code":"over"}}`:                               "over",
		`{"status":"error"}`:                                      "no reason given",
		`{"base_resp":{"status_code":1000,"status_msg":"over"}}`:  "over",
		`{"delta":"AwAEAA==","error":true}`:                       "true",
		`{"type":"response.done","response":{"status":"failed"}}`: `"failed"`,
		`{"type":"response.done","response":{"status":"incomplete","status_details":{"type":"incomplete",` +
			`"reason":"content_filter"}}}`: `"incomplete: content_filter"`,
		`{"type":"response.done","response":{"status_details":{"type":"cancelled","reason":"turn_detected"},` +
			`"status":"cancelled"}}`: `"cancelled: turn_detected"`,
		`{"type":"response.done","response":{"status":"failed","status_details":{"type":"failed",` +
			`"error":{"type":"server_error","code":"over"}}}}`: `"failed: over"`,
		`{"type":"response.done","response":{"status":"completed","status_details":null}}`:      "",
		`{"type":"response.created","response":{"status":"in_progress","status_details":null}}`: "",
		`{"candidates":[{"finishReason":"MAX_TOKENS","index":0}]}`:                              `"MAX_TOKENS"`,
		`{"candidates":[{"finishReason":"STOP","index":0}]}`:                                    "",
		`{"serverContent":{"interrupted":true}}`:                                                `"interrupted"`,
		`{"serverContent":{"interrupted":false,"turnComplete":true}}`:                           "",
		`{"candidates":[{"finishReason":null}]}`:                                                "",
		`{"error_code":400,"error_message":"over"}`:                                             "over: 400",
		`{"status_code":503}`:                                          "no reason given",
		`{"status_code":422,"errors":["over","and out"]}`:              "over",
		`{"errors":[{"message":"over"}]}`:                              "over",
		`{"detail":{"status":"quota_exceeded","message":"over"}}`:      "over",
		`{"err_code":"TOO_LONG","err_msg":"over"}`:                     "over",
		`{"type":"Error","description":"over"}`:                        "over",
		`{"type":"error","data":{"message":"over","code":500}}`:        "over",
		"\nevent: error\ndata: {\"message\":\"over\"}\n\n":             "over",
		"\nevent:speech.error\ndata: {}\n\n":                           "no reason given",
		"\nevent: done\ndata: {\"message\":\"all said\"}\n\n":          "",
		"\nevent: error_free\ndata: {}\n\n":                            "",
		`{"status_code":206,"errors":[],"error_code":0,"detail":null}`: "",
		`{"type":"Warning","description":"slow"}`:                      "",
		`{"error":null}`: "",
		`{"error":""}`:   "",
		`{"error":false,"status":"ok","base_resp":{"status_code":0}}`: "",
		`{"error":{}}`: "",
		`{"a":{"error":"not at the top"},"type":"error_free"}`:          "",
		`{"type":"response.created","response":{"status":"completed"}}`: "",
	} {
		got, _, err := decode(t, strings.NewReader(good+text+good), rawJSON(audio.JSONOptions{}))
		if failed := err != nil && strings.Contains(err.Error(), "the service reports an error"); failed != (want != "") ||
			failed && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if wantSamples := map[bool]int{true: 2, false: 4}[want != ""]; len(got) != wantSamples {
			t.Errorf("%s: %d samples, want %d", text, len(got), wantSamples)
		}
	}
}
