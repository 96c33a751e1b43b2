package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"sync"
	"time"

	"echocast/echo"
)

// mostPending is how many bytes may wait for a slow disk: some minutes of speech in real
// time. Further lines are dropped, and a gap line counts them.
const mostPending = 16 << 20

// Recorder writes a trace. Its methods may be called from any goroutine. Only Close waits
// for the disk. The Recorder starts one goroutine, which writes. Close waits until it has
// ended.
type Recorder struct {
	// Redact returns text without the secrets in it. It is applied to all lines except
	// those of sent audio, which contain no secrets. Set it before using the Recorder. nil
	// means that there are no secrets.
	Redact func(text string) string

	w     io.Writer
	start time.Time
	wake  chan struct{} // lines are pending
	ended chan struct{} // closed when the writer has ended

	mu       sync.Mutex
	pending  bytes.Buffer
	lines    *json.Encoder // into pending
	missing  int           // lines dropped since the last gap
	isClosed bool
	failed   error // the first write error; nothing is recorded after it
}

// NewRecorder starts a trace on w. It does not close w. program is the name and version of
// the recording program.
func NewRecorder(w io.Writer, program string) *Recorder {
	r := &Recorder{w: w, start: time.Now(), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	r.lines = json.NewEncoder(&r.pending)
	r.lines.SetEscapeHTML(false) // keeps messages unchanged
	r.record(Entry{Kind: KindStart, Format: Format, Start: r.start.UTC().Truncate(time.Microsecond), Program: program})
	go r.write()
	return r
}

// Close writes all pending lines and returns the first write error. It may be called twice.
// After Close the other methods record nothing.
func (r *Recorder) Close() error {
	r.mu.Lock()
	if !r.isClosed {
		r.isClosed = true
		r.encodeGap(r.now())
		close(r.wake)
	}
	r.mu.Unlock()
	<-r.ended
	return r.failed
}

// Observe records a moment.
func (r *Recorder) Observe(m echo.Moment) {
	if m.At.IsZero() {
		m.At = time.Now()
	}
	e := Entry{
		Kind: Kind(m.Kind), T: r.seconds(m.At), ID: m.InferenceID, Text: removeSecrets(m.Text), Rate: m.Rate,
		Position: m.Position, Samples: m.Samples, Bytes: m.Bytes, Last: m.Last, Event: eventOf(m.Event),
	}
	if len(m.PCM) > 0 {
		e.Peaks = peaksOf(m.PCM)
	}
	if !m.Due.IsZero() {
		e.Due = new(r.seconds(m.Due))
	}
	if m.Receipt != nil {
		receipt := *m.Receipt
		receipt.Error = removeSecrets(receipt.Error)
		e.Receipt = &receipt
	}
	r.record(e)
}

// Conn returns a connection that records every message of conn. It has the method
// Unacknowledged if conn has that method.
func (r *Recorder) Conn(conn echo.Conn) echo.Conn {
	return &recorded{conn, r}
}

type recorded struct {
	conn echo.Conn
	r    *Recorder
}

// Unacknowledged returns the value of conn, or a negative number if conn has none.
func (c *recorded) Unacknowledged() int {
	if conn, ok := c.conn.(echo.Acknowledger); ok {
		return conn.Unacknowledged()
	}
	return -1
}

func (c *recorded) Send(ctx context.Context, msg []byte) error {
	e := Entry{Kind: KindOut, T: c.r.now()}
	err := c.conn.Send(ctx, msg)
	if err != nil {
		e.Error = removeSecrets(err.Error())
	} else {
		e.Accepted = new(c.r.now())
	}
	e.setMessage(msg)
	c.r.record(e)
	return err
}

func (c *recorded) Receive(ctx context.Context) ([]byte, error) {
	msg, err := c.conn.Receive(ctx)
	if err != nil && ctx.Err() != nil {
		return msg, err // the caller stopped waiting; nothing to record
	}
	e := Entry{Kind: KindIn, T: c.r.now()}
	if err != nil {
		e.Error = removeSecrets(err.Error())
	} else {
		e.setMessage(msg)
	}
	c.r.record(e)
	return msg, err
}

// setMessage puts msg into the entry.
func (e *Entry) setMessage(msg []byte) {
	if json.Valid(msg) {
		e.Message = msg
	} else {
		e.Data = msg
	}
}

func (r *Recorder) now() float64 { return r.seconds(time.Now()) }

func (r *Recorder) seconds(at time.Time) float64 {
	return float64(at.Sub(r.start).Round(time.Microsecond).Microseconds()) / 1e6
}

func (r *Recorder) record(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed || r.failed != nil {
		return
	}
	if r.pending.Len() > mostPending {
		r.missing++
		return
	}
	r.encodeGap(e.T)
	r.encode(e)
	select {
	case r.wake <- struct{}{}:
	default: // the writer is awake already
	}
}

// encodeGap appends a line that counts the lines dropped since the last gap, if there are any.
func (r *Recorder) encodeGap(at float64) {
	if r.missing > 0 {
		r.encode(Entry{Kind: KindGap, T: at, Lines: r.missing})
		r.missing = 0
	}
}

// encode appends a line to the pending lines.
func (r *Recorder) encode(e Entry) {
	redacts := r.Redact != nil && (e.Kind != KindOut || e.Error != "") && e.Kind != KindChunk && e.Kind != KindInput
	if redacts && len(e.Data) > 0 {
		e.Data = []byte(r.Redact(string(e.Data)))
	}
	begin := r.pending.Len()
	_ = r.lines.Encode(e) // entries always marshal
	if !redacts {
		return
	}
	line := r.Redact(string(r.pending.Bytes()[begin:]))
	r.pending.Truncate(begin)
	r.pending.WriteString(line)
}

// write writes pending lines at once, so that little is lost if the process is killed.
func (r *Recorder) write() {
	defer close(r.ended)
	var lines []byte
	for range r.wake {
		lines = r.flush(lines)
	}
	r.flush(lines)
}

// flush writes pending lines. It uses lines as a buffer, and returns the buffer for reuse.
func (r *Recorder) flush(lines []byte) []byte {
	r.mu.Lock()
	lines = append(lines[:0], r.pending.Bytes()...)
	r.pending.Reset()
	r.mu.Unlock()
	if len(lines) == 0 {
		return lines
	}
	if _, err := r.w.Write(lines); err != nil {
		r.mu.Lock()
		if r.failed == nil {
			r.failed = err
		}
		r.mu.Unlock()
	}
	return lines
}

// secretParts matches an address and the parts of it that may be secret: user and password,
// query, and fragment.
var secretParts = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)(?:[^\s/?#"@]*@)?([^\s?#"]*)(?:[?#][^\s"]*)?`)
})

// removeSecrets removes the secret parts of addresses in a text.
func removeSecrets(text string) string { return secretParts().ReplaceAllString(text, "$1$2") }
