package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"

	"echocast/echo"
	"echocast/internal/child"
	"echocast/rtc"
)

// tally summarises the messages of a conversation on one side.
type tally struct {
	ID        string `json:"id"` // inference id
	Messages  int    `json:"messages"`
	Done      int    `json:"done"`      // messages marked as the last
	Sum       uint32 `json:"sum"`       // checksum of all bytes, in order
	Underruns int    `json:"underruns"` // how often playback ran out of audio

	played time.Time // when all received audio will have been played
}

var sumTable = crc32.MakeTable(crc32.Castagnoli)

var doneInside = []byte(`"done":true}}`)

// add counts a message of a chunk.
func (t *tally) add(msg []byte, now time.Time) {
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

// arrivals is the final report of the receiving side.
type arrivals struct {
	Streams []tally      `json:"streams"`
	Used    processUsage `json:"used"` // since the first message
}

// receiver is the receiving side.
type receiver struct {
	listener *rtc.Listener
	stop     context.CancelFunc
	all      sync.WaitGroup

	speaking sync.Once
	before   processUsage // when the first message arrived: it cost this to connect

	mu      sync.Mutex
	tallies []tally
}

// listen accepts conversations until end is called.
func listen() (*receiver, error) {
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &receiver{listener: listener, stop: stop}
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

// welcome is the message that tells a conversation that its connection was accepted.
var welcome = []byte("{}")

// receive reads until the conversation closes its connection or the connection is lost. It
// counts all messages, however late they are read.
func (r *receiver) receive(conn *rtc.Conn) {
	ctx := context.Background()
	_ = conn.Send(ctx, welcome) // if it fails, no message arrives either
	var t tally
	for {
		msg, err := conn.Receive(ctx)
		if err != nil {
			break
		}
		if t.Messages == 0 {
			r.speaking.Do(func() { r.before = usage() })
			t.ID = inferenceID(msg)
		}
		t.add(msg, time.Now())
	}
	_ = conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies = append(r.tallies, t)
}

func inferenceID(msg []byte) string {
	var m struct {
		Properties struct {
			InferenceID string `json:"inference_id"`
		}
	}
	_ = json.Unmarshal(msg, &m) // an invalid message has no id
	return m.Properties.InferenceID
}

// end stops accepting, waits for the open conversations to close, and returns what
// arrived.
func (r *receiver) end() arrivals {
	r.stop()
	_ = r.listener.Close()
	r.all.Wait()
	used := usage()
	used.Processor -= r.before.Processor
	return arrivals{Streams: r.tallies, Used: used}
}

// Receive runs the receiving side in another process. It prints its address to out. When in
// ends, it prints what it has received.
func Receive(in io.Reader, out io.Writer) error {
	r, err := listen()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, r.listener.URL()); err != nil {
		r.end()
		return err
	}
	_, _ = io.Copy(io.Discard, in)
	line, _ := json.Marshal(r.end()) // numbers and strings always marshal
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

// peer is the receiving side, in this or another process.
type peer struct {
	url string
	end func() (arrivals, error)
}

func (b *Bench) startReceiver() (*peer, error) {
	if len(b.Program) > 0 {
		return startProcess(b.Program)
	}
	r, err := listen()
	if err != nil {
		return nil, err
	}
	return &peer{r.listener.URL(), func() (arrivals, error) { return r.end(), nil }}, nil
}

func startProcess(program []string) (*peer, error) {
	command := child.Command(context.Background(), program[0], program[1:]...)
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	process, err := child.Start(command)
	if err != nil {
		return nil, fmt.Errorf("load: the receiving process did not start: %w", err)
	}
	lines := bufio.NewReader(process.Stdout)
	address, err := lines.ReadString('\n')
	end := func() (result arrivals, err error) {
		_ = in.Close()
		err = json.NewDecoder(lines).Decode(&result)
		return result, errors.Join(err, process.Wait())
	}
	if err != nil {
		_, failed := end()
		return nil, fmt.Errorf("load: the receiving process did not start: %w", errors.Join(err, failed))
	}
	return &peer{strings.TrimSpace(address), end}, nil
}
