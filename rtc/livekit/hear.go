package livekit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"echocast/echo"
)

// DefaultListenerIdentity is the default identity of a listener. It differs from the
// sender's, which may be in the room too.
const DefaultListenerIdentity = "echocast-hear"

// trackListener holds the callbacks of a running Hear.
type trackListener struct {
	wants  func(identity string) bool
	packet func(track string, p *rtp.Packet)
	left   func(track string)
}

// Hear passes on the Opus packets of the avatar's microphones, of all others, or of both,
// until ctx or the room ends. It calls packet for each packet with the id of its track, and
// left for each track that ends. Each track has its own goroutine for these calls. Only one
// Hear may run at a time.
//
// It ends with the cause of ctx, net.ErrClosed, ErrAvatarGone or ErrLost. The
// token needs the grant canSubscribe.
func (r *Room) Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet),
	left func(track string)) error {
	h := &trackListener{packet: packet, left: left}
	h.wants = func(identity string) bool {
		return from == "all" || (identity == r.options.Avatar) == (from == "replica")
	}
	r.mu.Lock()
	if r.hearing != nil {
		r.mu.Unlock()
		return errors.New("livekit: hear: another Hear is running")
	}
	r.hearing = h
	r.mu.Unlock()
	r.subscribeAll()
	select {
	case <-ctx.Done():
	case <-r.lifetime.Ended():
	case <-r.lifetime.Closing():
	}
	r.mu.Lock()
	r.hearing = nil
	r.mu.Unlock()
	r.subscribeAll()
	return fmt.Errorf("livekit: hear: %w", r.lifetime.Err(ctx))
}

// IsReplica reports whether a track that Hear reported belongs to the avatar.
func (r *Room) IsReplica(track string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.avatars[track]
}

// recordTrack records whether a track belongs to the avatar.
func (r *Room) recordTrack(track string, isAvatar bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if isAvatar {
		r.avatars[track] = true
	} else {
		delete(r.avatars, track)
	}
}

// noteUsers queues an event when a user begins to speak, or when no user speaks any more.
// It checks the participants, not the SDK's list of speakers. That list keeps participants
// who leave while they speak, and its updates arrive in any order.
func (r *Room) noteUsers() {
	if !r.options.HearUsers {
		return
	}
	r.usersMu.Lock()
	defer r.usersMu.Unlock()
	speaks := slices.ContainsFunc(r.room.GetRemoteParticipants(), func(p *lksdk.RemoteParticipant) bool {
		return p.Identity() != r.options.Avatar && p.IsSpeaking()
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if speaks == r.hasUser {
		return
	}
	r.hasUser = speaks
	e := event(TypeSpeakers, nil)
	e.Role, e.Kind = echo.RoleUser, echo.StoppedSpeaking
	if speaks {
		e.Kind = echo.StartedSpeaking
	}
	r.push(e)
}

// heard returns the running Hear, or nil.
func (r *Room) heard() *trackListener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hearing
}

// read reads a track to its end, and passes its packets to the running Hear.
func (r *Room) read(track *webrtc.TrackRemote, who *lksdk.RemoteParticipant) {
	if track.Kind() != webrtc.RTPCodecTypeAudio {
		return
	}
	r.calls.Go(func() {
		r.recordTrack(track.ID(), who.Identity() == r.options.Avatar)
		defer r.recordTrack(track.ID(), false)
		var hearing *trackListener
		for {
			p, _, err := track.ReadRTP()
			now := r.heard()
			if now != nil && !now.wants(who.Identity()) {
				now = nil
			}
			if hearing != nil && (err != nil || now != hearing) {
				hearing.left(track.ID())
			}
			if err != nil {
				return
			}
			if hearing = now; hearing != nil {
				hearing.packet(track.ID(), p)
			}
		}
	})
}
