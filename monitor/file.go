package monitor

import (
	"errors"
	"io"
	"math"
	"sync"

	"echocast/echo"
	"echocast/internal/pcm"
)

// Output has the methods of *os.File that File needs.
type Output interface {
	io.WriteSeeker
	io.WriterAt
	Truncate(size int64) error
}

// headerSize is the length of a WAV header.
const headerSize = 44

// File writes the audio that a replica gets to a WAV file. It writes an utterance as it is
// sent, and truncates it when its receipt says that less was heard. It does not write
// silence between utterances.
type File struct {
	mu    sync.Mutex
	out   Output
	all   utterances
	rate  int   // Hz, of the file; 0 before the first utterance
	begin int64 // bytes of the header and of finished utterances
	err   error // the first
}

// NewFile begins a file. The caller closes it, after File.Close.
func NewFile(out Output) *File { return &File{out: out} }

// Observe takes a moment of the session.
func (f *File) Observe(m echo.Moment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return // after an error nothing is written or kept
	}
	f.all.note(m)
	for f.err == nil && len(f.all) > 0 {
		u := f.all[0]
		f.write(u)
		if u.end < 0 {
			return
		}
		f.cut(u)
		f.all = f.all[1:]
	}
}

// write writes the new samples of an utterance. Later utterances wait for its end.
func (f *File) write(u *utterance) {
	if len(u.samples) == 0 {
		return
	}
	if f.rate == 0 {
		f.rate, f.begin = u.rate, headerSize
		_, f.err = f.out.Write(pcm.WAVHeader(f.rate, 1, math.MaxUint32))
	}
	if f.err == nil && u.rate != f.rate {
		f.err = errors.New("monitor: an utterance has another rate than the file")
	}
	if f.err == nil {
		_, f.err = f.out.Write(pcm.Bytes(u.samples))
	}
	u.passed += int64(len(u.samples))
	u.samples = u.samples[:0]
}

// cut truncates an utterance at the end of what was heard.
func (f *File) cut(u *utterance) {
	if f.err != nil || u.passed == 0 {
		return
	}
	end := f.begin + 2*u.end
	if u.end < u.passed {
		f.err = f.out.Truncate(end)
		if f.err == nil {
			_, f.err = f.out.Seek(end, io.SeekStart)
		}
	}
	f.begin = end
}

// Close completes the file, and returns the first error of writing it. The session is closed
// before.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	rate := f.rate
	if rate == 0 {
		rate, f.begin = echo.DefaultRate, headerSize
	}
	size, err := f.out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	_, err = f.out.WriteAt(pcm.WAVHeader(rate, 1, uint32(min(max(size-headerSize, 0), math.MaxUint32))), 0)
	return err
}
