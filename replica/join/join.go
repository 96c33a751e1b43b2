// Package join makes a stand-in replica join a LiveKit room as an avatar worker, for
// every sender that speaks to such workers, such as LiveKit's own agents and echocast.
package join

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"echocast/replica"
	"echocast/replica/avatar"
	"echocast/room"
	"echocast/rtc/livekit"
)

// Options say where and how a replica joins. To is required.
type Options struct {
	To       string // livekit+wss://HOST/ROOM
	Identity string // its name in the room; empty: livekit.DefaultAvatar
	Insecure bool   // the token may be sent without TLS

	Program string        // that draws the pictures: see avatar.Program; empty: none
	Delay   time.Duration // as avatar.Options.Delay

	Record      io.WriteSeeker          // receives the played audio (WAV); may be nil
	OnEvent     func(replica.Event)     // called with what happens in the room
	OnUtterance func(replica.Utterance) // as in replica.Options
	Note        func(text string)       // is called with what happens in the room
}

// Run joins the room as a replica until ctx or the connection ends. Credentials come
// from the environment: see livekit.CredentialsFrom. It returns the replica's report,
// and the cause of ctx or an error, such as a *room.AddressError,
// *room.CredentialError, *room.RefusedError or *room.UnreachableError.
func Run(ctx context.Context, o *Options) (replica.Report, error) {
	to, err := livekit.ParseAddress(o.To)
	if err != nil {
		return replica.Report{}, &room.AddressError{Err: err}
	}
	with, err := livekit.CredentialsFrom(os.Getenv)
	if err != nil {
		return replica.Report{}, &room.CredentialError{Err: err}
	}
	options := &avatar.Options{Delay: o.Delay, Record: o.Record, OnEvent: o.OnEvent,
		OnUtterance: o.OnUtterance, Warn: o.Note}
	if o.Program != "" {
		options.Program = &avatar.Program{Command: o.Program}
	}
	a, err := avatar.New(options)
	if err != nil {
		return replica.Report{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	worker, err := livekit.JoinWorker(ctx, to, with, &livekit.WorkerOptions{
		Identity: o.Identity, Insecure: o.Insecure, Note: o.Note, Clear: a.Clear, NeedKeyFrame: a.NeedKeyFrame,
		Speak: func(id string, pcm io.Reader, rate, channels int) {
			err := a.Speak(ctx, avatar.Stream{ID: id, PCM: pcm, Rate: rate, Channels: channels})
			if err != nil && ctx.Err() == nil {
				o.Note(err.Error())
			}
		},
	})
	switch {
	case errors.Is(err, livekit.ErrUnsafe):
		return replica.Report{}, &room.AddressError{Err: err}
	case errors.Is(err, livekit.ErrRefused):
		return replica.Report{}, &room.RefusedError{Err: err}
	case err != nil:
		return replica.Report{}, &room.UnreachableError{Err: err}
	}
	o.Note(fmt.Sprintf("joined the room %s as %s", to.Room, worker.Identity()))
	ended := make(chan struct{})
	go func() { // it ends with the connection, or below; Run waits for it
		defer close(ended)
		select {
		case <-worker.Ended():
			cancel(worker.Cause())
		case <-ctx.Done():
		}
	}()
	report, err := a.Run(ctx, worker)
	cancel(err)
	<-ended
	worker.Close()
	return report, err
}
