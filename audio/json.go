package audio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"echocast/internal/text"
)

// Speech services that use WebSocket or server-sent events put audio as text into JSON
// objects, called events here:
//
//	{"type":"response.output_audio.delta","delta":"AAD//w=="}   OpenAI Realtime
//	{"audio":"SUQzBAAA","isFinal":null}                         ElevenLabs
//	data: {"data":{"audio":"494433"}}                           MiniMax, in hex
//
// The bytes of all events together are the contents of an audio file.

// JSONOptions say where the audio is in a stream of JSON objects.
type JSONOptions struct {
	// Field is the path of the audio: names of fields and positions in arrays,
	// or * for every position, joined by dots, such as "data.audio" or
	// "parts.*.data". Empty: "delta".
	Field string
	// Type is what the "type" of an object with audio ends with. Objects without a "type"
	// may have audio too. Empty: "audio.delta" if Field is empty too, because OpenAI also
	// sends transcripts in "delta"; otherwise any type.
	Type string
	// Payload is the encoding of the audio as text: "base64" (either alphabet, with or
	// without padding), which is the default, or "hex".
	Payload string
	// Encoding is the encoding of the bytes, a value of Options.Encoding. Empty: recognised
	// by content.
	Encoding string
	// Summary is a field that only the last object has, if that object repeats
	// the audio of all others. Such a repetition is left out.
	Summary string
}

// jsonShapes lists where services put audio, according to their documentation: see the
// sources in package preset. A stream of JSON is recognised by them.
var jsonShapes = []JSONOptions{
	{Field: "delta", Type: "audio.delta"},        // OpenAI Realtime, xAI
	{Field: "delta", Type: "audio_output.delta"}, // Together AI
	// OpenAI speech events, ElevenLabs, Hume, async AI, Gradium, Soniox, Speechify, Rime
	{Field: "audio"},
	{Field: "b64"},                               // Together AI
	{Field: "audio_base64"},                      // ElevenLabs and Fish Audio with timestamps
	{Field: "audio_data"},                        // Mistral, Speechify
	{Field: "audio_content"},                     // Resemble
	{Field: "audioContent"},                      // Google, Inworld, Rime
	{Field: "result.audioContent"},               // Inworld, streamed
	{Field: "result.audioChunk.audioContent"},    // Inworld over WebSocket
	{Field: "data", Type: "chunk"},               // Cartesia, Rime
	{Field: "data", Type: "audio"},               // Bland
	{Field: "data.audio", Summary: "extra_info"}, // MiniMax, Neuphonic, Smallest AI, Sarvam
	{Field: "audios.*"},                          // Sarvam
	{Field: "generations.*.audio"},               // Hume
	{Field: "output.audio.data"},                 // Qwen
	{Field: "choices.*.delta.audio.data"},        // OpenAI chat completions
	{Field: "choices.*.message.audio.data"},
	{Field: "candidates.*.content.parts.*.inlineData.data"}, // Gemini
	{Field: "serverContent.modelTurn.parts.*.inlineData.data"},
}

// Limits of what is held of one object.
const (
	maxHeldAudio  = 256 << 10 // decoded bytes before it is passed on unfinished
	maxJSONDepth  = 64
	maxNotedDepth = 8   // depth of a value that is examined
	maxJSONText   = 512 // bytes of a key, or of a value that is examined
	maxFieldNames = 8   // how many fields an error names
)

// jsonDecoder is a decoder of the audio in JSON objects.
type jsonDecoder struct {
	decoder
	events *jsonAudio
}

// openJSON opens objects that have audio where opts.JSON says.
func openJSON(r *bufio.Reader, opts Options) (decoder, error) {
	if opts.TrustHeader && identify(r, formLength) != nil {
		return openByContent(r, opts)
	}
	where := opts.JSON
	if where.Field == "" {
		where.Field = "delta"
		if where.Type == "" {
			where.Type = "audio.delta"
		}
	}
	switch {
	case where.Payload != "" && where.Payload != "base64" && where.Payload != "hex":
		return nil, fmt.Errorf("%w: no payload is called %q; there are base64 and hex", ErrFormat, where.Payload)
	case where.Encoding == "ndjson":
		return nil, fmt.Errorf("%w: lines of JSON inside lines of JSON are not read", ErrFormat)
	}
	opts.Encoding = where.Encoding
	return openEvents(newJSONAudio(r, opts.source, where), opts)
}

// openJSONByShape opens objects that have audio at one of the jsonShapes.
func openJSONByShape(r *bufio.Reader, opts Options) (decoder, error) {
	return openEvents(newJSONAudio(r, opts.source, jsonShapes...), opts)
}

func openEvents(events *jsonAudio, opts Options) (decoder, error) {
	opts.isInsideJSON, opts.file, opts.decoders = true, nil, 1
	events.words.bytesPerSecond = int64(rawCodecs[opts.Encoding].bytes * opts.Raw.Channels * opts.Raw.Rate)
	dec, err := openRecorded(&recorder{r: events}, opts)
	switch {
	case errors.Is(err, ErrEmpty) && events.count > 0:
		err = events.noAudio()
	case err == error(errNoContainer) && events.found != nil:
		err = fmt.Errorf("%w: the audio in %q has no header that says what it is; give --preset, or -f ndjson "+
			"with --field, --inside, --rate and --channels", ErrFormat, events.found.Field)
	}
	if err != nil {
		return nil, err
	}
	return &jsonDecoder{decoder: dec, events: events}, nil
}

// Info describes the audio inside the objects.
func (d *jsonDecoder) Info() Info {
	info := d.decoder.Info()
	info.Container = "ndjson, " + info.Container
	return info
}

// words returns the words for which the service sent times.
func (d *jsonDecoder) words() []Word { return d.events.words.all() }

// Warnings returns the warnings of the audio inside, and which objects were left out.
func (d *jsonDecoder) Warnings() []string {
	all := slices.Clone(d.decoder.Warnings())
	if n := d.events.skipped; n > 0 {
		all = append(all, fmt.Sprintf("left out %s without audio", text.Count(n, "JSON object")))
	}
	if d.events.isRepeated {
		all = append(all, "left out the last JSON object, which repeats all audio")
	}
	return all
}

// beginsLikeJSON reports whether the bytes of r that have arrived begin with an object, an
// array of objects or server-sent events.
func beginsLikeJSON(r *bufio.Reader) bool {
	_, _ = r.Peek(formLength)
	head, _ := r.Peek(min(r.Buffered(), textLength)) // cannot fail: these bytes are buffered
	if !isText(head) {
		return false
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	for _, name := range []string{"data:", "event:", "id:", "retry:", ": ", ":\n"} {
		if bytes.HasPrefix(head, []byte(name)) {
			return true
		}
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("[")), " \t\r\n")
	if !bytes.HasPrefix(head, []byte("{")) {
		return false
	}
	head = bytes.TrimLeft(head[1:], " \t\r\n")
	return len(head) == 0 || head[0] == '"' || head[0] == '}'
}

// jsonAudio reads the bytes that are written as text in JSON objects: any sequence of objects
// or of arrays of objects, of any length and on any number of lines. It passes on the audio of
// each object before it reads the next one. If an object is long, it passes on its audio as it
// arrives.
type jsonAudio struct {
	json   jsonScanner
	source *recorder // of the JSON
	shapes []JSONOptions
	paths  [][]string   // of the shapes' fields
	found  *JSONOptions // the shape of the first audio; nil before that
	event  jsonEvent
	text   textDecoder
	held   []byte // audio of the object that is being read
	ready  []byte // audio to return
	given  int    // bytes of ready that were returned
	first  []byte // the beginning of the first audio of the stream
	total  int64  // bytes of audio returned or ready
	begin  int64  // total when the object began

	count      int // objects read
	skipped    int // objects without audio
	isRepeated bool
	texts      []string // fields with text, and the beginning of that text
	words      *jsonWords
	err        error
}

func newJSONAudio(r *bufio.Reader, source *recorder, shapes ...JSONOptions) *jsonAudio {
	s := &jsonAudio{json: jsonScanner{r: r, line: 1}, source: source, shapes: shapes, words: newJSONWords()}
	for _, shape := range shapes {
		s.paths = append(s.paths, strings.Split(shape.Field, "."))
	}
	return s
}

// jsonEvent is what is known about the object that is being read.
type jsonEvent struct {
	shape     *JSONOptions // where audio was found, or nil
	kind      string       // its "type"
	isSummary bool         // it has the shape's Summary
	isPassing bool         // its audio is passed on as it arrives
	isDropped bool         // its audio is left out
	damage    error        // why its audio cannot be decoded
	failure   jsonFailure
}

// Read returns audio of at most one object.
func (s *jsonAudio) Read(p []byte) (int, error) {
	for s.given == len(s.ready) && s.err == nil && len(p) > 0 {
		s.err = s.step()
	}
	n := copy(p, s.ready[s.given:])
	s.given += n
	if n == 0 {
		return 0, s.err
	}
	return n, nil
}

// step reads one token, or a piece of a text with audio.
func (s *jsonAudio) step() error {
	if s.total == 0 && s.source.read.Load() > maxHeaderBytes {
		return fmt.Errorf("%w: no audio in the first %d MB of JSON", ErrFormat, maxHeaderBytes>>20)
	}
	token, err := s.json.next()
	switch {
	case errors.Is(err, errNoJSON), errors.Is(err, errCutJSON):
		return s.bad(err)
	case err != nil:
		return err
	}
	switch token.kind {
	case jsonPiece:
		return s.piece(token)
	case jsonScalar:
		s.note(token)
		s.words.value(&s.json, token)
		if string(token.text) != "null" {
			s.notText()
		}
	case jsonOpen:
		if s.json.depth() <= maxNotedDepth {
			s.event.failure.open(s.json.path())
		}
		s.notText()
	case jsonEnd:
		return s.endEvent()
	}
	s.event.isSummary = s.event.isSummary || s.json.depth() == 1 && s.isSummary(s.json.key())
	return nil
}

func (s *jsonAudio) isSummary(name string) bool {
	return name != "" && slices.ContainsFunc(s.shapes, func(shape JSONOptions) bool { return shape.Summary == name })
}

// note handles a value that is not a text with audio.
func (s *jsonAudio) note(token jsonToken) {
	if s.json.depth() > maxNotedDepth {
		return
	}
	path := s.json.path()
	if path == "type" && token.isText {
		s.event.kind = string(token.text)
	}
	s.event.failure.note(path, token)
	if token.isText && len(s.texts) < maxFieldNames &&
		!slices.ContainsFunc(s.texts, func(text string) bool { return strings.HasPrefix(text, path+": ") }) {
		s.texts = append(s.texts, path+": "+string(token.text[:min(len(token.text), maxQuoted)]))
	}
}

// notText records that the field that should have the audio, if only one is possible, has no
// text.
func (s *jsonAudio) notText() {
	if len(s.shapes) == 1 && s.json.matches(s.paths[0]) {
		s.event.shape = &s.shapes[0]
		s.event.damage = fmt.Errorf("%q is no string", s.shapes[0].Field)
	}
}

// currentShape returns the shape whose field the scanner is at, or nil.
func (s *jsonAudio) currentShape() *JSONOptions {
	for i := range s.shapes {
		if shape := &s.shapes[i]; s.json.matches(s.paths[i]) && (s.found == nil || s.found == shape) &&
			shape.hasAudio(s.event.kind) {
			return shape
		}
	}
	return nil
}

// hasAudio reports whether an object of this type may have audio.
func (o *JSONOptions) hasAudio(kind string) bool {
	return kind == "" || strings.HasSuffix(kind, o.Type)
}

// piece decodes a piece of a text. Of texts without audio it examines only the first bytes.
func (s *jsonAudio) piece(token jsonToken) error {
	if token.isFirst {
		if s.json.target = s.currentShape(); s.json.target != nil {
			s.beginText(s.json.target, token)
		}
	}
	if s.json.target == nil {
		if token.isLast {
			token := jsonToken{isText: true, text: s.json.head}
			s.note(token)
			s.words.value(&s.json, token)
		}
		return nil
	}
	if s.event.isDropped || s.event.damage != nil {
		return nil
	}
	from := len(s.held)
	s.held, s.event.damage = s.text.add(s.held, token.text, token.isLast)
	if s.event.damage == nil && len(s.held) > maxHeldAudio && from < len(s.held) {
		return s.passOn()
	}
	return nil
}

// beginText prepares to decode the text of a field.
func (s *jsonAudio) beginText(shape *JSONOptions, token jsonToken) {
	if s.event.shape != nil && s.event.shape != shape && s.event.damage == nil && len(s.held) > 0 {
		s.event.damage = fmt.Errorf("both %q and %q may be the audio; name one with --field",
			s.event.shape.Field, shape.Field)
	}
	s.event.shape = shape
	s.text = textDecoder{isHex: shape.Payload == "hex" || shape.Payload == "" && len(s.shapes) > 1 &&
		looksLikeHex(token.text)}
}

// passOn makes the audio of an object ready before the object has been read to its end.
func (s *jsonAudio) passOn() error {
	e := &s.event
	switch {
	case !e.shape.hasAudio(e.kind):
		e.isDropped = true
	case !e.isPassing && e.shape.Summary != "" && s.isRepetition():
		e.isDropped, s.isRepeated = true, true
	default:
		e.isPassing = true
		s.commit(e.shape)
	}
	if e.isDropped {
		s.held = s.held[:0]
	}
	return nil
}

// isRepetition reports whether the held audio begins as the first audio did.
func (s *jsonAudio) isRepetition() bool {
	n := min(len(s.held), len(s.first))
	return n > 0 && bytes.Equal(s.held[:n], s.first[:n])
}

// commit makes the held audio ready to be returned, and accepts only its shape from then on.
func (s *jsonAudio) commit(shape *JSONOptions) {
	const kept = 64 << 10
	if s.found == nil && len(s.held) > 0 {
		s.found = shape
	}
	s.first = append(s.first, s.held[:min(len(s.held), kept-min(len(s.first), kept))]...)
	s.total += int64(len(s.held))
	s.ready, s.held, s.given = s.held, s.ready[:0], 0
}

// endEvent keeps or drops an object's audio after all of the object was read.
func (s *jsonAudio) endEvent() error {
	e := s.event
	begin := s.begin
	defer func() { s.begin = s.total }()
	s.event = jsonEvent{}
	s.count++
	e.failure.hasFailed = e.failure.hasFailed || isFailureType(s.json.event)
	s.json.event = ""
	if message := e.failure.message(); message != "" {
		return fmt.Errorf("%w: line %d: the service reports an error: %s", ErrFormat, s.json.line, quote([]byte(message)))
	}
	switch {
	case e.isDropped:
		s.words.clear() // the summary repeats the words with the audio
	case e.shape == nil, !e.shape.hasAudio(e.kind):
		s.held = s.held[:0]
		if !s.words.endObject(begin, e.shape != nil) {
			s.skipped++
		}
	case e.damage != nil:
		return s.bad(e.damage)
	case e.isSummary && !e.isPassing && int64(len(s.held)) >= s.total && s.isRepetition():
		s.held, s.isRepeated = s.held[:0], true
		s.words.clear()
	default:
		s.words.endObject(begin, e.shape != nil)
		s.commit(e.shape)
	}
	return nil
}

func (s *jsonAudio) bad(err error) error {
	return fmt.Errorf("%w: line %d: %w", ErrFormat, s.json.line, err)
}

// noAudio returns an error that describes objects without audio.
func (s *jsonAudio) noAudio() error {
	texts := "no text"
	if len(s.texts) > 0 {
		texts = quote([]byte(strings.Join(s.texts, ", ")))
	}
	if len(s.shapes) > 1 {
		return fmt.Errorf("%w: this is JSON (%s) without audio in a field that is known; name the field with "+
			"-f ndjson --field; it has %s",
			ErrFormat, text.Count(s.count, "object"), texts)
	}
	return fmt.Errorf("%w: this is JSON (%s) without audio in %q; it has %s", ErrFormat, text.Count(s.count, "object"),
		s.shapes[0].Field, texts)
}

// jsonFailure is what an object says about an error.
type jsonFailure struct {
	hasFailed bool
	texts     [len(failureTexts)]string
}

// failureTexts lists the fields in which services put the reason, the best first.
var failureTexts = [...]string{
	"error.message", "error.msg", "error", "message", "error_message", "err_msg", "base_resp.status_msg", "data.message",
	"errors.0.message", "errors.0", "detail.message", "detail", "title", "description",
	"response.status_details.error.message", "response.status", "response.status_details.reason",
	"response.status_details.error.code", "candidates.0.finishReason", "serverContent.interrupted",
	"error.code", "error_code", "code",
}

// unfinished lists the statuses of an incomplete response in the event response.done of
// OpenAI Realtime. The reason is in status_details.
var unfinished = []string{"failed", "incomplete", "cancelled"}

// failureFields lists fields that are set only if the service failed. Soniox and Cartesia
// have an error_code, Deepgram an err_code, Neuphonic a list of errors, and FastAPI servers,
// such as that of ElevenLabs, a detail.
var failureFields = []string{"error", "errors", "error_code", "err_code", "detail", "base_resp.status_code"}

// open handles the beginning of an object or array.
func (f *jsonFailure) open(path string) {
	if isFailureField(path) && strings.Contains(path, ".") {
		f.hasFailed = true
	}
}

// isFailureField reports whether path is one of failureFields or is inside one.
func isFailureField(path string) bool {
	return slices.ContainsFunc(failureFields, func(field string) bool {
		return path == field || strings.HasPrefix(path, field+".")
	})
}

// isFailureType reports whether an event of this type or name reports an error, such as
// "error", "Error" or "speech.error".
func isFailureType(name string) bool {
	return strings.EqualFold(name, "error") || strings.HasSuffix(name, ".error")
}

// note handles a value. It ignores null, false, 0 and empty values.
func (f *jsonFailure) note(path string, token jsonToken) {
	text := string(token.text)
	nothing := !token.isText && (text == "null" || text == "false" || text == "0") || text == ""
	switch path {
	case "type":
		f.hasFailed = f.hasFailed || isFailureType(text)
	case "status":
		f.hasFailed = f.hasFailed || text == "error"
	case "response.status":
		f.hasFailed = f.hasFailed || slices.Contains(unfinished, text)
	case "candidates.0.finishReason": // Gemini: on the last object, such as MAX_TOKENS or SAFETY
		f.hasFailed = f.hasFailed || !nothing && text != "STOP"
	case "serverContent.interrupted": // Gemini Live: the user cut in
		f.hasFailed, text = f.hasFailed || !nothing, "interrupted"
	case "status_code":
		code, err := strconv.Atoi(text)
		f.hasFailed = f.hasFailed || err == nil && code >= http400
	default:
		f.hasFailed = f.hasFailed || isFailureField(path) && !nothing
	}
	if i := slices.Index(failureTexts[:], path); i >= 0 && !nothing {
		f.texts[i] = text
	}
}

// http400 is the lowest HTTP status that means an error.
const http400 = 400

// message returns why the service failed, or "" if it did not.
func (f *jsonFailure) message() string {
	if !f.hasFailed {
		return ""
	}
	texts := slices.DeleteFunc(f.texts[:], func(text string) bool { return text == "" })
	if len(texts) == 0 {
		return "no reason given"
	}
	return strings.Join(texts, ": ")
}
