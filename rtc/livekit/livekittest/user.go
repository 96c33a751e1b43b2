package livekittest

import (
	"context"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// User is the identity of the user who speaks.
const User = "user"

// loudness is the user's loudness in decibels below full scale. The server reads it from the
// header of each packet.
const loudness uint8 = 20

var opusTrack = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}

// opusSilence is a frame of 20 ms of Opus.
var opusSilence = []byte{0xf8, 0xff, 0xfe}

// userSpeaks lets a user join, speak and leave.
func (a *avatar) userSpeaks(ctx context.Context) {
	if !rest(ctx, a.UserAt) {
		return
	}
	user := lksdk.NewRoom(nil)
	err := user.JoinWithContext(ctx, a.URL, lksdk.ConnectInfo{
		APIKey: a.Key, APISecret: a.Secret, RoomName: a.Room, ParticipantIdentity: User, ParticipantName: User,
	}, lksdk.WithAutoSubscribe(false), lksdk.WithConnectTimeout(time.Minute))
	if err != nil {
		a.complain("", "the user cannot come: %v", err)
		return
	}
	defer user.Disconnect()
	track, err := lksdk.NewLocalTrack(opusTrack)
	if err == nil {
		_, err = user.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "microphone",
			Source: livekit.TrackSource_MICROPHONE})
	}
	if err != nil {
		a.complain("", "the user has no microphone: %v", err)
		return
	}
	level := loudness
	for end := time.Now().Add(a.UserFor); time.Now().Before(end); {
		_ = track.WriteSample(media.Sample{Data: opusSilence, Duration: frame}, &lksdk.SampleWriteOptions{AudioLevel: &level})
		if !rest(ctx, frame) {
			return
		}
	}
}

// rest waits for d, and reports whether ctx was still alive then.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
