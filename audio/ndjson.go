package audio

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Speech services that talk over WebSocket or server-sent events put audio as
// text into JSON, one object a line once they are printed:
//
//	{"type":"response.output_audio.delta","delta":"AAD//w=="}   OpenAI Realtime
//	{"audio":"SUQzBAAA","isFinal":null}                         ElevenLabs
//	data: {"data":{"audio":"494433"}}                           MiniMax, in hex
//
// The bytes of all lines together are what an audio file would hold.

// JSONOptions say where the audio stands in lines of JSON.
type JSONOptions struct {
	// Field is the way to the audio: names of fields, and positions in
	// arrays, joined by dots, such as "data.audio" or "parts.0.data". Empty:
	// "delta". Lines without it are other events and left out.
	Field string
	// Type is what the "type" of a line ends with if it is one with audio; a
	// line without a "type" counts as one. Empty: "audio.delta" where Field
	// is empty too, since OpenAI's transcripts come in "delta" as well; else
	// any.
	Type string
	// Payload is how the audio is written: "base64" (either alphabet, padded
	// or not), which is the default, or "hex".
	Payload string
	// Encoding is what the bytes are, as Options.Encoding says it. Empty: by
	// content.
	Encoding string
}

const (
	jsonField = "delta"
	jsonType  = "audio.delta"
	// maxJSONLine bounds one line. Services that answer at once put a whole
	// speech into one: this holds ten minutes of MP3 at 128 kbit/s in base64
	// and a third more.
	maxJSONLine = 16 << 20
)

// ndjson is a decoder of what stands in lines of JSON.
type ndjson struct {
	decoder
	lines *jsonLines
}

func openNDJSON(r *bufio.Reader, opts Options) (decoder, error) {
	lines, err := newJSONLines(r, opts.JSON)
	if err != nil {
		return nil, err
	}
	if opts.JSON.Encoding == "ndjson" {
		return nil, fmt.Errorf("%w: lines of JSON inside lines of JSON are not read", ErrFormat)
	}
	opts.Encoding = opts.JSON.Encoding
	dec, err := open(bufio.NewReaderSize(lines, sniffRoom), opts)
	if errors.Is(err, ErrEmpty) && lines.line > 0 {
		err = fmt.Errorf("%w: none of the %d lines of JSON has audio in %q", ErrFormat, lines.line, strings.Join(lines.field, "."))
	}
	if err != nil {
		return nil, err
	}
	return &ndjson{decoder: dec, lines: lines}, nil
}

// Info says what was found inside.
func (d *ndjson) Info() Info {
	info := d.decoder.Info()
	info.Container = "ndjson, " + info.Container
	return info
}

// Warnings adds the lines that were left out.
func (d *ndjson) Warnings() []string {
	warnings := d.decoder.Warnings()
	if n := d.lines.skipped; n > 0 {
		warnings = append(warnings[:len(warnings):len(warnings)], fmt.Sprintf("left out %d lines of JSON that hold no audio", n))
	}
	return warnings
}

// jsonLines is a reader of the bytes that stand in lines of JSON. It passes
// each line on before it asks for the next.
type jsonLines struct {
	r       *bufio.Reader
	field   []string
	kind    string
	payload func(text []byte) ([]byte, error)
	text    []byte // of a line, reused
	audio   []byte // of it, not handed out yet
	line    int    // number of the line in text
	skipped int
	err     error
}

func newJSONLines(r *bufio.Reader, opts JSONOptions) (*jsonLines, error) {
	s := &jsonLines{r: r, kind: opts.Type}
	if opts.Field == "" {
		opts.Field = jsonField
		if opts.Type == "" {
			s.kind = jsonType
		}
	}
	s.field = strings.Split(opts.Field, ".")
	switch opts.Payload {
	case "", "base64":
		s.payload = decodeBase64
	case "hex":
		s.payload = decodeHex
	default:
		return nil, fmt.Errorf("%w: no payload is called %q; there are base64 and hex", ErrFormat, opts.Payload)
	}
	return s, nil
}

// Read gives bytes of at most one line.
func (s *jsonLines) Read(p []byte) (int, error) {
	for len(s.audio) == 0 && s.err == nil && len(p) > 0 {
		s.audio, s.err = s.next()
	}
	n := copy(p, s.audio)
	s.audio = s.audio[n:]
	if n == 0 {
		return 0, s.err
	}
	return n, nil
}

// next returns the audio of the next line, nil if there is none in it.
func (s *jsonLines) next() ([]byte, error) {
	line, err := s.readLine()
	if err != nil {
		return nil, err
	}
	if line = jsonOf(line); line == nil {
		return nil, nil
	}
	text, err := s.find(line)
	if err != nil {
		return nil, s.bad(err)
	}
	if text == nil {
		s.skipped++
		return nil, nil
	}
	audio, err := s.payload(text)
	if err != nil {
		return nil, s.bad(err)
	}
	return audio, nil
}

func (s *jsonLines) bad(err error) error {
	return fmt.Errorf("%w: line %d: %v", ErrFormat, s.line, err)
}

// readLine reads a line. The last one need not have an end.
func (s *jsonLines) readLine() ([]byte, error) {
	s.line++
	s.text = s.text[:0]
	for {
		part, err := s.r.ReadSlice('\n')
		s.text = append(s.text, part...)
		switch {
		case len(s.text) > maxJSONLine:
			return nil, s.bad(fmt.Errorf("longer than %d MB", maxJSONLine>>20))
		case err == nil:
			return s.text, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(s.text) > 0:
			return s.text, nil
		default:
			s.line--
			return nil, err
		}
	}
}

// jsonOf takes off what server-sent events have around the JSON, and returns
// nil for lines of theirs that hold none: empty ones, comments, other fields
// and the mark "[DONE]" (HTML standard, section 9.2.6).
func jsonOf(line []byte) []byte {
	line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("\xef\xbb\xbf"))
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch string(name) {
	case "", "event", "id", "retry":
		return nil
	case "data":
		line = bytes.TrimSpace(value)
	}
	if len(line) == 0 || string(line) == "[DONE]" {
		return nil
	}
	return line
}

var errNoJSON = errors.New("no JSON object")

// find returns the text in the field, nil if there is none.
func (s *jsonLines) find(line []byte) ([]byte, error) {
	if line[0] != '{' || !json.Valid(line) {
		return nil, errNoJSON
	}
	kind, _ := jsonString(line, []string{"type"})
	if len(kind) > 0 && !strings.HasSuffix(string(kind), s.kind) {
		return nil, nil
	}
	return jsonString(line, s.field)
}

// jsonString returns the string that stands at path, nil if nothing does. The
// strings of a payload hold no escapes but "\/".
func jsonString(value []byte, path []string) ([]byte, error) {
	for _, name := range path {
		if value = jsonMember(value, name); value == nil {
			return nil, nil
		}
	}
	if string(value) == "null" {
		return nil, nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, fmt.Errorf("%q is no string", strings.Join(path, "."))
	}
	return []byte(text), nil
}

// jsonMember returns the member of an object or an array, nil if it has none of
// that name.
func jsonMember(value []byte, name string) json.RawMessage {
	switch value[0] {
	case '{':
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) == nil {
			return object[name]
		}
	case '[':
		var array []json.RawMessage
		i, err := strconv.Atoi(name)
		if err == nil && json.Unmarshal(value, &array) == nil && 0 <= i && i < len(array) {
			return array[i]
		}
	}
	return nil
}

// decodeBase64 takes both alphabets of RFC 4648, with or without padding.
func decodeBase64(text []byte) ([]byte, error) {
	text = bytes.TrimRight(text, "=")
	for i, c := range text {
		switch c {
		case '-':
			text[i] = '+'
		case '_':
			text[i] = '/'
		}
	}
	n, err := base64.RawStdEncoding.Decode(text, text)
	if err != nil {
		return nil, errors.New("the audio is not in base64")
	}
	return text[:n], nil
}

func decodeHex(text []byte) ([]byte, error) {
	n, err := hex.Decode(text, text)
	if err != nil {
		return nil, errors.New("the audio is not in hexadecimal digits")
	}
	return text[:n], nil
}
