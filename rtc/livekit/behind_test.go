//go:build unix

package livekit

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"

	"echocast/echo"
	"echocast/internal/testwait"
)

// At most HighWater and one packet are sent to a server that does not read, and Speak waits
// for it no longer than its context. No other test runs beside this one, which stops the server of
// all.
func TestSpeakBackpressure(t *testing.T) {
	startAvatar(t, t.Name())
	r := join(t, t.Name(), nil)
	if err := next(r, TypeAvatarReady); err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	running, err := server()
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Signal(syscall.SIGCONT) })
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	ended := make(chan error, 1)
	go func() {
		_, err := r.Speak(ctx, make([]float32, 1<<20), false)
		ended <- err
	}()
	publisher := r.room.LocalParticipant.GetPublisherPeerConnection()
	for buffered(publisher) <= r.options.HighWater && ctx.Err() == nil {
		runtime.Gosched()
	}
	why := errors.New("enough")
	cancel(why)
	if err := testwait.Receive(t, ended); !errors.Is(err, why) {
		t.Errorf("Speak: %v, want the cause of its context", err)
	}
	if most := r.options.HighWater + maxChunk + 500; buffered(publisher) > most {
		t.Errorf("%d bytes wait for the server, want at most %d", buffered(publisher), most)
	}
}
