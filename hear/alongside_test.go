package hear_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"echocast/hear"
	"echocast/internal/testwait"
)

// oneSound is a room in which there is one packet.
type oneSound struct{}

func (oneSound) HearOn(ctx context.Context, _ string, packet func(string, *rtp.Packet), _ func(string), _ func(error)) {
	packet("user", &rtp.Packet{Header: rtp.Header{PayloadType: 11}, Payload: make([]byte, 960)})
	<-ctx.Done()
}

var errFull = errors.New("the disk is full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// An error of writing the end of a recording is not lost.
func TestEndOfRecordingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, err := hear.RecordAlongside(t.Context(), oneSound{}, "user", 24000, fullDisk{}, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the packet has arrived, and is not written yet
		if err := stop(); !errors.Is(err, errFull) {
			t.Errorf("stop: %v, want %v", err, errFull)
		}
	})
}

// A command that reads nothing does not outlive the room.
func TestCommandThatReadsNothing(t *testing.T) {
	t.Parallel()
	out, err := hear.ToCommand(t.Context(), "sleep 600", io.Discard, io.Discard, time.Millisecond, false, 48000)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := hear.NewStream(48000, out)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- stream.Record(t.Context(), 0, func(context.Context) error {
			for i := range 40 { // more than the pipe to the command holds
				stream.Packet("user", &rtp.Packet{
					Header:  rtp.Header{PayloadType: 11, SequenceNumber: uint16(i), Timestamp: uint32(i * 4800)},
					Payload: make([]byte, 9600)})
			}
			return errors.New("the room has ended")
		})
	}()
	if err := testwait.Receive(t, ended); !errors.Is(err, hear.ErrCommandEnded) {
		t.Errorf("Record: %v", err)
	}
	if err := out.Close(); err == nil {
		t.Error("a command that was killed has not failed")
	}
}

// blockingWriter blocks in its first write until Hurry.
type blockingWriter struct {
	hurry chan struct{}
	first int // bytes of the first write
	all   int
}

func (w *blockingWriter) Hurry() { close(w.hurry) }

func (w *blockingWriter) Write(b []byte) (int, error) {
	if w.all == 0 {
		w.first = len(b)
	}
	w.all += len(b)
	<-w.hurry
	return len(b), nil
}

// While a writer blocks, packets are taken and the room may end. What arrives after 30 s is
// dropped.
func TestPacketsWhileWriterBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds = 90
		w := &blockingWriter{hurry: make(chan struct{})}
		stream, err := hear.NewStream(48000, w)
		if err != nil {
			t.Fatal(err)
		}
		over := errors.New("the room has ended")
		err = stream.Record(t.Context(), 0, func(context.Context) error {
			for i := range 10 * seconds {
				time.Sleep(100 * time.Millisecond) // of fake time
				stream.Packet("user", &rtp.Packet{
					Header:  rtp.Header{PayloadType: 11, SequenceNumber: uint16(i), Timestamp: uint32(i * 4800)},
					Payload: make([]byte, 9600)})
			}
			return over
		})
		if !errors.Is(err, over) {
			t.Errorf("Record: %v", err)
		}
		if kept := float64(w.all-w.first) / 96000; w.first == 0 || kept < 29 || kept > 31 {
			t.Errorf("the first write has %d bytes, the others %.2f s", w.first, kept)
		}
	})
}
