package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"echocast/echo"
	"echocast/rtc"
)

// streamTally is what one end knows of the messages of a stream.
type streamTally struct {
	ID        string `json:"id"` // inference id
	Messages  int    `json:"messages"`
	Done      int    `json:"done"`      // messages that say they are the last
	Sum       uint32 `json:"sum"`       // of all bytes, in their order
	Underruns int    `json:"underruns"` // times that all was played before more came

	played time.Time // when all that came has been played
}

var sumTable = crc32.MakeTable(crc32.Castagnoli)

var doneInside = []byte(`"done":true}}`)

// add counts a message of a chunk.
func (t *streamTally) add(msg []byte, now time.Time) {
	if t.Messages > 0 && now.After(t.played) {
		t.Underruns++
		t.played = now
	}
	if t.Messages == 0 {
		t.played = now
	}
	t.played = t.played.Add(echo.DefaultChunk)
	t.Messages++
	t.Sum = crc32.Update(t.Sum, sumTable, msg)
	if bytes.HasSuffix(msg, doneInside) {
		t.Done++
	}
}

// received is what the receiving side tells in the end.
type received struct {
	Streams []streamTally `json:"streams"`
	Used    processUse    `json:"used"`
}

// receiving is the receiving side of bench --streams.
type receiving struct {
	listener *rtc.Listener
	stop     context.CancelFunc
	all      sync.WaitGroup

	mu      sync.Mutex
	tallies []streamTally
}

// startReceiving takes streams until end is called.
func startReceiving() (*receiving, error) {
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &receiving{listener: listener, stop: stop}
	r.all.Go(func() {
		for {
			conn, err := listener.Accept(ctx)
			if err != nil {
				return
			}
			r.all.Go(func() { r.receive(conn) })
		}
	})
	return r, nil
}

// welcome tells a stream that its connection was accepted.
var welcome = []byte("{}")

// receive ends when the stream has closed its connection, or is lost: all that
// was sent counts, however late it is read.
func (r *receiving) receive(conn *rtc.Conn) {
	ctx := context.Background()
	_ = conn.Send(ctx, welcome) // where it fails nothing is received either
	var tally streamTally
	for {
		msg, err := conn.Receive(ctx)
		if err != nil {
			break
		}
		if tally.Messages == 0 {
			tally.ID = inferenceID(msg)
		}
		tally.add(msg, time.Now())
	}
	_ = conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies = append(r.tallies, tally)
}

func inferenceID(msg []byte) string {
	var m struct {
		Properties struct {
			InferenceID string `json:"inference_id"`
		}
	}
	_ = json.Unmarshal(msg, &m) // what is no message has no id
	return m.Properties.InferenceID
}

// end takes no more streams, waits for those there are to close, and tells what
// came.
func (r *receiving) end() received {
	r.stop()
	_ = r.listener.Close()
	r.all.Wait()
	return received{Streams: r.tallies, Used: useOfProcess()}
}

// receiveForBench is the process that receives: it prints its address, and when
// its standard input ends what it has received.
func receiveForBench(streams Streams) error {
	r, err := startReceiving()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(streams.Out, r.listener.URL()); err != nil {
		r.end()
		return stdoutError{err}
	}
	_, _ = io.Copy(io.Discard, streams.In)
	line, _ := json.Marshal(r.end()) // numbers and strings always marshal
	if _, err := fmt.Fprintf(streams.Out, "%s\n", line); err != nil {
		return stdoutError{err}
	}
	return nil
}

// receiver is the other end of the streams: in a process of its own, so that
// what each side costs is seen, or in this one.
type receiver struct {
	url string
	end func() (received, error)
}

func receiveHere() (*receiver, error) {
	r, err := startReceiving()
	if err != nil {
		return nil, err
	}
	return &receiver{r.listener.URL(), func() (received, error) { return r.end(), nil }}, nil
}

func receiveApart() (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, "bench", "--receive")
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	address, err := lines.ReadString('\n')
	end := func() (result received, err error) {
		_ = in.Close()
		err = json.NewDecoder(lines).Decode(&result)
		return result, errors.Join(err, command.Wait())
	}
	if err != nil {
		_, failed := end()
		return nil, fmt.Errorf("the receiving process did not start: %w", errors.Join(err, failed))
	}
	return &receiver{address[:len(address)-1], end}, nil
}
