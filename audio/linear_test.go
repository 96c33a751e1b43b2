package audio

import (
	"bufio"
	"bytes"
	"echocast/internal/testwait"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// degenerateFrames are rows of MPEG audio frames that nothing but malice makes:
// those without main data, or with next to none, in which a decoder that begins
// in mid-stream finds nothing to begin with.
func degenerateFrames(count int) map[string][]byte {
	row := func(header uint32, length int) []byte {
		frame := binary.BigEndian.AppendUint32(nil, header)
		return bytes.Repeat(append(frame, make([]byte, length-len(frame))...), count)
	}
	const sync = 0x7ff << 21
	free := uint32(sync | 3<<19 | 1<<17 | 1<<16)
	return map[string][]byte{
		"headers alone":        bytes.Repeat(binary.BigEndian.AppendUint32(nil, free), count),
		"free, no main data":   row(free, 36),
		"free, one byte":       row(free, 37),
		"MPEG-2 at 8 kbit/s":   row(sync|2<<19|1<<17|1<<16|1<<12|1<<10, 24),
		"MPEG-1 layer II":      row(sync|3<<19|2<<17|1<<16|1<<12|1<<10, 96),
		"MPEG-2.5 at 8 kbit/s": row(sync|0<<19|1<<17|1<<16|1<<12|2<<10|3<<6, 72),
	}
}

// codedBytes is how many bytes all segments together decode.
func codedBytes(stream []byte) (total int, err error) {
	frames := mpegFrames{r: bufio.NewReaderSize(bytes.NewReader(stream), sniffRoom)}
	if err := frames.start(); err != nil {
		return 0, err
	}
	err = refuse(frames.stream, make([]byte, maxMPEGFrame))
	var history warmUp
	for err == nil {
		var s mp3Segment
		s.warm(&history)
		err = s.fill(&frames, &history)
		total += len(s.coded)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, ErrFormat) { // or this build reads no such frames
		return total, nil
	}
	return total, err
}

// The number of decoded bytes grows with the input only, whatever the frames.
func TestMP3DecodesBytesAFewTimesAtMost(t *testing.T) {
	const most = 10 // the longest warm-up is eight segments long
	few, many := degenerateFrames(4000), degenerateFrames(16000)
	for name := range few {
		once, err := codedBytes(few[name])
		fourTimes, errMany := codedBytes(many[name])
		if err != nil || errMany != nil {
			t.Errorf("%s: %v, %v", name, err, errMany)
		}
		if once > most*len(few[name]) || fourTimes > most*len(many[name]) {
			t.Errorf("%s: %d bytes of %d are decoded, and %d of %d", name, once, len(few[name]), fourTimes, len(many[name]))
		}
	}
}

// endlessInput repeats a block for ever and counts the bytes that are read.
type endlessInput struct {
	head, block []byte
	at          int // in block
	read        int64
}

func (e *endlessInput) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	for e.head = e.head[n:]; n < len(p); {
		done := copy(p[n:], e.block[e.at:])
		n, e.at = n+done, (e.at+done)%len(e.block)
	}
	e.read += int64(n)
	return n, nil
}

// testOggPage is a page that holds one packet, or no segment if body is empty.
func testOggPage(flags byte, number uint32, body []byte) []byte {
	p := append([]byte("OggS\x00"), flags)
	p = append(p, make([]byte, 8)...)
	p = binary.LittleEndian.AppendUint32(p, 7)
	p = binary.LittleEndian.AppendUint32(p, number)
	p = append(append(p, 0, 0, 0, 0, byte(len(body)/255+1)), bytes.Repeat([]byte{255}, len(body)/255)...)
	p = append(append(p, byte(len(body)%255)), body...)
	if len(body) == 0 {
		p = p[:oggHeaderLength]
		p[26] = 0
	}
	binary.LittleEndian.PutUint32(p[oggChecksumAt:], oggChecksum(p))
	return p
}

// The decoder refuses a file without samples after reading a little over 64 MB.
func TestEndlessInputsAreRefused(t *testing.T) {
	id3 := append([]byte("ID3\x04\x00\x00\x00\x00\x0f\x76"), make([]byte, 2038)...) // 2048 bytes
	opusHead := []byte("OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00")
	oggHead := append(testOggPage(oggBegins, 0, opusHead),
		testOggPage(0, 1, []byte("OpusTags\x00\x00\x00\x00\x00\x00\x00\x00"))...)
	streamInfo := append(
		[]byte("fLaC\x00\x00\x00\x22\x10\x00\x10\x00\x00\x00\x00\x00\x00\x00\x05\xdc\x00\xf0\x00\x00\x00\x00"),
		make([]byte, 16)...)
	frames := degenerateFrames(4)["MPEG-1 layer II"]
	long := strings.Repeat("still there ", 400)
	var body []byte
	if testwait.HasRaceDetector { // else a thousand times as many blocks
		body = make([]byte, 1000)
	}
	slow := []string{"Ogg pages", "one JSON string", "empty JSON audio"}
	size := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	for name, input := range map[string]*endlessInput{
		"ID3 tags":          {block: id3},
		"FLAC metadata":     {head: streamInfo, block: append([]byte{1, 0, size[2], size[3]}, body...)},
		"MP3, then garbage": {head: frames, block: []byte(strings.Repeat("no frame. ", 400))},
		"MP3, then sync words": {head: frames, block: append([]byte{0xff, 0xfb, 0x90, 0xff, 0xff, 0xfb},
			make([]byte, 90)...)},
		"WAV chunks": {head: []byte("RIFF\x00\x00\x00\x00WAVE"),
			block: append([]byte{'L', 'I', 'S', 'T', size[3], size[2], 0, 0}, body...)},
		"AIFF chunks": {head: []byte("FORM\x00\x00\x00\x00AIFF"),
			block: append(append([]byte("ANNO"), size...), body...)},
		"JSON without audio":  {block: []byte(`{"type":"ping","text":"` + long + `"}` + "\n")},
		"one JSON string":     {head: []byte(`{"text":"`), block: []byte("and so on ")},
		"events without data": {block: append(append([]byte(": still there"), body...), "\n\n"...)},
		"empty JSON audio":    {block: []byte(`{"audio":"","text":"` + long + `"}` + "\n")},
		"Ogg pages":           {head: oggHead, block: testOggPage(0, 2, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if testwait.HasRaceDetector && slices.Contains(slow, name) {
				t.Skip("it is read where there is no race detector")
			}
			in, err := Open(input, nil)
			if err == nil {
				buf := make([]float32, 4096)
				for err == nil {
					_, err = in.ReadSamples(buf)
				}
				_ = in.Close()
			}
			if bound := int64(maxHeaderBytes + 1<<20); err == nil || input.read > bound {
				t.Errorf("%v after %d bytes, want an end within %d", err, input.read, bound)
			}
		})
	}
}
