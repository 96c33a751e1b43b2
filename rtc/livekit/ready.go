package livekit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"

	"echocast/echo"
)

// ReadyPolicy says when the avatar counts as ready. Audio that is sent earlier may be lost.
type ReadyPolicy string

// The policies.
const (
	// ReadyAuto is ReadyVideo. For avatars that publish nothing before they receive audio,
	// it is ReadyJoined, once they have been in the room for Options.ReadyFallback.
	ReadyAuto   ReadyPolicy = ""
	ReadyJoined ReadyPolicy = "joined" // the avatar is in the room
	ReadyAudio  ReadyPolicy = "audio"  // it has published an audio track
	ReadyVideo  ReadyPolicy = "video"  // it has published a video track
)

// ReadyPolicies returns all policies except ReadyAuto, which has no name.
func ReadyPolicies() []ReadyPolicy { return []ReadyPolicy{ReadyJoined, ReadyAudio, ReadyVideo} }

// has reports whether a participant has published a track of a kind.
func has(who *lksdk.RemoteParticipant, kind lksdk.TrackKind) bool {
	return slices.ContainsFunc(who.TrackPublications(),
		func(track lksdk.TrackPublication) bool { return track.Kind() == kind })
}

// meets reports whether an avatar is ready. waited is set once it has been in the room
// for Options.ReadyFallback.
func (p ReadyPolicy) meets(avatar *lksdk.RemoteParticipant, waited bool) bool {
	switch p {
	case ReadyJoined:
		return true
	case ReadyAudio:
		return has(avatar, lksdk.TrackKindAudio)
	case ReadyVideo:
		return has(avatar, lksdk.TrackKindVideo)
	}
	return waited || has(avatar, lksdk.TrackKindVideo)
}

// checkAvatar warns about an avatar that joined for another sender, and reports the avatar as
// ready once it is. It ignores other participants, and nil. The SDK holds the lock of its
// room during the call, so it must not ask the SDK for participants.
func (r *Room) checkAvatar(avatar *lksdk.RemoteParticipant) {
	if avatar == nil || avatar.Identity() != r.options.Avatar {
		return
	}
	sender := avatar.Attributes()[attributeOnBehalf]
	if r.markSeen() && sender != "" && sender != r.Identity() {
		r.options.Warn(fmt.Sprintf("the avatar %s speaks for %q and will ignore us: we are %q in the room",
			r.options.Avatar, sender, r.Identity()))
	}
	r.markReady(avatar)
}

// markSeen reports whether the avatar is seen for the first time. If so, it starts the wait
// of ReadyAuto.
func (r *Room) markSeen() (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fallback != nil {
		return false
	}
	r.fallback = time.AfterFunc(r.options.ReadyFallback, func() {
		r.mu.Lock()
		r.hasWaited = true
		r.mu.Unlock()
		r.checkAvatar(r.avatar())
	})
	return true
}

// stopFallback ends the wait of ReadyAuto.
func (r *Room) stopFallback() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fallback != nil {
		r.fallback.Stop()
	}
}

// markReady queues the ready event, once.
func (r *Room) markReady(avatar *lksdk.RemoteParticipant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isReady || !r.options.ReadyWhen.meets(avatar, r.hasWaited) {
		return
	}
	r.isReady = true
	e := event(TypeAvatarReady, nil)
	e.Kind, e.Role = echo.ReplicaJoined, echo.RolePal
	r.push(e)
}

// Missing says why the avatar is not ready, or returns "" once it is.
func (r *Room) Missing() string {
	r.mu.Lock()
	ready := r.isReady
	r.mu.Unlock()
	if ready {
		return ""
	}
	avatar := r.avatar()
	if avatar == nil {
		return fmt.Sprintf("nobody with the identity %s is in the room%s", r.options.Avatar, r.otherIdentities())
	}
	published := "nothing"
	if has(avatar, lksdk.TrackKindAudio) {
		published = "audio"
	}
	return fmt.Sprintf("%s has joined and published %s, but no %s; --ready-when joined does not wait for it",
		r.options.Avatar, published, cmp.Or(r.options.ReadyWhen, ReadyVideo))
}

// otherIdentities lists the participants other than the avatar.
func (r *Room) otherIdentities() string {
	var names []string
	for _, who := range r.room.GetRemoteParticipants() {
		names = append(names, who.Identity())
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; there are " + strings.Join(names, ", ")
}

// wants reports whether to subscribe to a track. The tracks of a running Hear are wanted,
// and those of users if their speech is reported. The avatar's audio is wanted until its
// video is there, because LiveKit's worker publishes video only once somebody has
// subscribed to its audio.
func (r *Room) wants(who *lksdk.RemoteParticipant, track lksdk.TrackPublication) bool {
	if track.Kind() != lksdk.TrackKindAudio {
		return false
	}
	if h := r.heard(); h != nil && h.wants(who.Identity()) {
		return true
	}
	if who.Identity() == r.options.Avatar {
		return !has(who, lksdk.TrackKindVideo)
	}
	return r.options.HearUsers
}

// subscribe subscribes to the wanted tracks of a participant, and to no others.
func (r *Room) subscribe(who *lksdk.RemoteParticipant) {
	for _, track := range who.TrackPublications() {
		if remote, ok := track.(*lksdk.RemoteTrackPublication); ok {
			_ = remote.SetSubscribed(r.wants(who, track)) // a token that does not allow it hears nothing
		}
	}
}

// subscribeAll calls subscribe for all participants.
func (r *Room) subscribeAll() {
	for _, who := range r.room.GetRemoteParticipants() {
		r.subscribe(who)
	}
}
