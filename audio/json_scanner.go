package audio

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// jsonScanner cuts a stream of JSON objects into tokens. It holds one token, and returns a
// string in pieces as they arrive. Between the objects it skips arrays, commas and what
// server-sent events add (HTML standard, section 9.2.6): empty lines, comments, other fields
// and the mark "[DONE]".
type jsonScanner struct {
	r      *bufio.Reader
	line   int
	event  string // the event name of the next object, in server-sent events
	levels []jsonLevel
	want   jsonWant
	opened *jsonLevel // the level that the last token began
	inText bool
	head   []byte       // first bytes of the string that is being read
	target *JSONOptions // the shape for which the caller decodes the string
	piece  []byte
}

// jsonLevel is an object or an array that the scanner is inside.
type jsonLevel struct {
	isArray bool
	index   int    // of the current value in an array
	key     string // of the current value in an object
}

// jsonWant is what comes next inside an object.
type jsonWant int

const (
	wantValue jsonWant = iota
	wantItem           // a value, or the end of an array
	wantKey            // a key, or the end of an object
	wantColon
	wantComma // a comma, or the end
)

type jsonKind int

const (
	jsonNothing jsonKind = iota // only structure
	jsonOpen                    // an object or array begins
	jsonScalar                  // a number, true, false or null
	jsonPiece                   // a piece of a string
	jsonEnd                     // an object at the top is over
)

// jsonToken is valid until the next one.
type jsonToken struct {
	kind            jsonKind
	text            []byte
	isText          bool // text is the text of a string
	isFirst, isLast bool // the first, or the last piece of the string
}

var (
	errNoJSON  = errors.New("no JSON object")
	errCutJSON = errors.New("the input ends inside a JSON object")
)

func (s *jsonScanner) depth() int { return len(s.levels) }

// top returns the innermost level.
func (s *jsonScanner) top() *jsonLevel { return &s.levels[len(s.levels)-1] }

// key returns the name of the current value in the outermost object.
func (s *jsonScanner) key() string { return s.levels[0].key }

func (l *jsonLevel) name() string {
	if l.isArray {
		return strconv.Itoa(l.index)
	}
	return l.key
}

// path returns the path of the current value, joined by dots.
func (s *jsonScanner) path() string {
	if len(s.levels) == 1 {
		return s.levels[0].name()
	}
	var path []byte
	for i := range s.levels {
		if i > 0 {
			path = append(path, '.')
		}
		path = append(path, s.levels[i].name()...)
	}
	return string(path)
}

// matches reports whether the current value is at path, in which * matches any position or
// name.
func (s *jsonScanner) matches(path []string) bool {
	if len(path) != len(s.levels) {
		return false
	}
	for i, name := range path {
		if l := &s.levels[i]; name != "*" && name != l.name() {
			return false
		}
	}
	return true
}

// next returns the next token. The error is io.EOF only between objects.
func (s *jsonScanner) next() (jsonToken, error) {
	if s.inText {
		return s.readPiece(false)
	}
	if s.opened != nil {
		s.levels, s.opened = append(s.levels, *s.opened), nil
	}
	c, err := s.skipSpace()
	if err != nil {
		if errors.Is(err, io.EOF) && len(s.levels) > 0 {
			err = errCutJSON
		}
		return jsonToken{}, err
	}
	if len(s.levels) == 0 {
		return s.readOutside(c)
	}
	_, _ = s.r.Discard(1) // cannot fail: this byte was peeked
	switch s.want {
	case wantKey:
		return s.readKey(c)
	case wantColon:
		s.want = wantValue
		if c != ':' {
			return jsonToken{}, errNoJSON
		}
		return jsonToken{}, nil
	case wantComma:
		return s.separator(c)
	}
	return s.value(c)
}

// skipSpace skips white space, and returns the next byte without consuming it.
func (s *jsonScanner) skipSpace() (byte, error) {
	for newLine := false; ; {
		b, err := s.r.Peek(1)
		if err != nil {
			return 0, err
		}
		switch c := b[0]; {
		case c == '\n':
			s.line++
			newLine = true
		case c == 'd' && newLine && len(s.levels) > 0: // server-sent events repeat it on each line of an object
			if name, _ := s.r.Peek(5); string(name) != "data:" {
				return c, nil
			}
			_, _ = s.r.Discard(4)
			newLine = false
		case c != ' ' && c != '\t' && c != '\r':
			return c, nil
		}
		_, _ = s.r.Discard(1)
	}
}

// readOutside reads the bytes between objects.
func (s *jsonScanner) readOutside(c byte) (jsonToken, error) {
	switch c {
	case '{':
		s.levels, s.want = append(s.levels, jsonLevel{}), wantKey
		return jsonToken{}, s.discard(1)
	case ',', ']':
		return jsonToken{}, s.discard(1)
	case '[':
		if mark, _ := s.r.Peek(6); string(mark) == "[DONE]" {
			return jsonToken{}, s.discard(len(mark))
		}
		return jsonToken{}, s.discard(1)
	}
	for _, field := range []string{"data:", "\ufeff"} {
		if head, _ := s.r.Peek(len(field)); string(head) == field {
			return jsonToken{}, s.discard(len(field))
		}
	}
	return jsonToken{}, s.skipLine()
}

// skipLine skips a line of server-sent events without data.
func (s *jsonScanner) skipLine() error {
	line, err := s.r.ReadSlice('\n')
	name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	switch string(name) {
	case "event":
		value = bytes.TrimSpace(value)
		s.event = string(value[:min(len(value), maxJSONText)])
	case "", "id", "retry", "data":
	default:
		return fmt.Errorf("%w: %s", errNoJSON, quote(line))
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = s.r.ReadSlice('\n')
	}
	if err == nil {
		s.line++
	}
	return readErrorOr(err, nil)
}

func (s *jsonScanner) discard(n int) error {
	_, err := s.r.Discard(n)
	return err
}

// readKey reads the key of a member, or the end of the object.
func (s *jsonScanner) readKey(c byte) (jsonToken, error) {
	switch c {
	case '}':
		return s.close(false)
	case '"':
	default:
		return jsonToken{}, errNoJSON
	}
	for s.inText, s.head = true, s.head[:0]; s.inText; {
		if _, err := s.readPiece(false); err != nil {
			return jsonToken{}, err
		}
	}
	s.top().key, s.want = string(s.head), wantColon
	return jsonToken{}, nil
}

// separator reads the comma or the end that follows a value.
func (s *jsonScanner) separator(c byte) (jsonToken, error) {
	switch l := s.top(); {
	case c == ',' && l.isArray:
		l.index++
		s.want = wantValue
	case c == ',':
		s.want = wantKey
	case c == ']' || c == '}':
		return s.close(c == ']')
	default:
		return jsonToken{}, errNoJSON
	}
	return jsonToken{}, nil
}

// close ends an object or an array.
func (s *jsonScanner) close(isArray bool) (jsonToken, error) {
	if s.top().isArray != isArray {
		return jsonToken{}, errNoJSON
	}
	s.levels, s.want = s.levels[:len(s.levels)-1], wantComma
	if len(s.levels) == 0 {
		return jsonToken{kind: jsonEnd}, nil
	}
	return jsonToken{}, nil
}

// value reads a value that begins with c.
func (s *jsonScanner) value(c byte) (jsonToken, error) {
	switch {
	case c == ']' && s.want == wantItem:
		return s.close(true)
	case c == '"':
		s.inText, s.head, s.want = true, s.head[:0], wantComma
		return s.readPiece(true)
	case (c == '{' || c == '[') && len(s.levels) == maxJSONDepth:
		return jsonToken{}, fmt.Errorf("%w: it nests deeper than %d", errNoJSON, maxJSONDepth)
	case c == '{':
		s.opened, s.want = &jsonLevel{}, wantKey
	case c == '[':
		s.opened, s.want = &jsonLevel{isArray: true}, wantItem
	default:
		return s.literal(c)
	}
	return jsonToken{kind: jsonOpen}, nil
}

// literal reads a number, true, false or null.
func (s *jsonScanner) literal(c byte) (jsonToken, error) {
	const longest = 64
	text := append(s.piece[:0], c)
	for len(text) <= longest {
		b, err := s.r.Peek(1)
		if len(b) == 0 || bytes.IndexByte([]byte(" \t\r\n,]}"), b[0]) >= 0 {
			s.piece, s.want = text, wantComma
			if !json.Valid(text) {
				return jsonToken{}, errNoJSON
			}
			return jsonToken{kind: jsonScalar, text: text}, readErrorOr(err, nil)
		}
		text = append(text, b[0])
		_, _ = s.r.Discard(1)
	}
	return jsonToken{}, errNoJSON
}

// readPiece reads the part of a string that has arrived: at least one byte, or its end.
func (s *jsonScanner) readPiece(first bool) (jsonToken, error) {
	token := jsonToken{kind: jsonPiece, isFirst: first, isText: true}
	b, err := s.r.Peek(1)
	for least := 2; first && err == nil && least <= hexLength && bytes.IndexByte(b, '"') < 0; least++ {
		b, err = s.r.Peek(max(least, s.r.Buffered()))
	}
	if len(b) == 0 {
		return token, endOr(err)
	}
	b, _ = s.r.Peek(s.r.Buffered())
	n := bytes.IndexAny(b, "\"\\")
	if n < 0 {
		n = len(b)
	}
	s.piece = append(s.piece[:0], b[:n]...)
	s.line += bytes.Count(b[:n], []byte("\n"))
	_, _ = s.r.Discard(n)
	if n < len(b) {
		if c, _ := s.r.ReadByte(); c == '"' {
			token.isLast, s.inText = true, false
		} else if err := s.escape(); err != nil {
			return token, err
		}
	}
	token.text = s.piece
	s.head = append(s.head, s.piece[:min(len(s.piece), maxJSONText-min(len(s.head), maxJSONText))]...)
	return token, nil
}

// escape reads the rest of an escape sequence, after the backslash.
func (s *jsonScanner) escape() error {
	c, err := s.r.ReadByte()
	if err != nil {
		return endOr(err)
	}
	if c != 'u' {
		plain := map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c]
		if plain == 0 {
			return errNoJSON
		}
		s.piece = append(s.piece, plain)
		return nil
	}
	digits, err := s.r.Peek(4)
	if err != nil {
		return endOr(err)
	}
	code, err := strconv.ParseUint(string(digits), 16, 16)
	if err != nil {
		return errNoJSON
	}
	s.piece = utf8.AppendRune(s.piece, rune(code)) // half of a pair becomes U+FFFD
	return s.discard(4)
}

func endOr(err error) error {
	if errors.Is(err, io.EOF) {
		return errCutJSON
	}
	return err
}

// textDecoder decodes base64, of either alphabet of RFC 4648 and with or without
// padding, or hexadecimal digits, piece by piece.
type textDecoder struct {
	isHex bool
	bits  uint32
	have  int // how many of them were not returned yet
}

var (
	errNoBase64 = errors.New("the audio is not in base64")
	errNoHex    = errors.New("the audio is not in hexadecimal digits")
)

// Values of base64Digits and hexDigits that are not digits.
const (
	digitSpace = 64 + iota
	digitPadding
	digitBad
)

var base64Digits, hexDigits = func() (base64, hex [256]uint8) {
	for c := range 256 {
		base64[c], hex[c] = digitBad, digitBad
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		base64[c] = uint8(i)
	}
	base64['-'], base64['_'], base64['='] = base64['+'], base64['/'], digitPadding
	for i, c := range []byte("0123456789abcdef") {
		hex[c], hex[bytes.ToUpper([]byte{c})[0]] = uint8(i), uint8(i)
	}
	for _, c := range []byte(" \t\r\n") {
		base64[c], hex[c] = digitSpace, digitSpace
	}
	return base64, hex
}()

// add decodes more text and appends the bytes to dst. Decoding continues after padding, so
// it accepts several texts in a row.
func (d *textDecoder) add(dst, text []byte, last bool) ([]byte, error) {
	digits, width, bad := &base64Digits, 6, errNoBase64
	if d.isHex {
		digits, width, bad = &hexDigits, 4, errNoHex
	}
	for _, c := range text {
		v := digits[c]
		switch {
		case v < digitSpace:
			d.bits = d.bits<<width | uint32(v)
			if d.have += width; d.have >= 8 {
				d.have -= 8
				dst = append(dst, byte(d.bits>>d.have))
			}
		case v == digitPadding:
			if d.have == width {
				return dst, bad
			}
			d.have = 0
		case v == digitBad:
			return dst, bad
		}
	}
	if last && d.have == width {
		return dst, bad
	}
	if last {
		d.have = 0
	}
	return dst, nil
}

// hexLength is how many digits looksLikeHex needs.
const hexLength = 32

// looksLikeHex reports whether a text is hexadecimal rather than base64. It is very unlikely
// that base64 has only hexadecimal digits.
func looksLikeHex(text []byte) bool {
	return len(text) >= hexLength && len(bytes.Trim(text, "0123456789abcdef")) == 0
}
