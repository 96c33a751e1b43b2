package livekittest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"echocast/internal/opusencoder"
	"echocast/internal/sleep"
)

// User is the identity of the user who speaks.
const User = "user"

// loudness is the user's loudness in decibels below full scale. The server reads it from the
// header of each packet.
const loudness uint8 = 20

// silence is the level of silence.
const silence uint8 = 127

var opusTrack = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}

// opusSilence is a frame of 20 ms of Opus.
var opusSilence = []byte{0xf8, 0xff, 0xfe}

// joinUser lets a user join who is silent until userSpeaks: a busy machine may take longer to
// let somebody in than the avatar to play.
func (a *avatar) joinUser(ctx context.Context) (leave func(), err error) {
	user := lksdk.NewRoom(nil)
	err = user.JoinWithContext(ctx, a.URL, lksdk.ConnectInfo{
		APIKey: a.Key, APISecret: a.Secret, RoomName: a.Room, ParticipantIdentity: User, ParticipantName: User,
	}, lksdk.WithAutoSubscribe(false), lksdk.WithConnectTimeout(time.Minute))
	if err != nil {
		return nil, fmt.Errorf("the user cannot come: %w", err)
	}
	leave = sync.OnceFunc(user.Disconnect)
	track, err := lksdk.NewLocalTrack(opusTrack)
	if err == nil {
		_, err = user.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "microphone",
			Source: livekit.TrackSource_MICROPHONE})
	}
	if err != nil {
		leave()
		return nil, fmt.Errorf("the user has no microphone: %w", err)
	}
	a.work.Go(func() {
		// The server counts packets, so a delay is made up for.
		for due := time.Now(); sleep.For(ctx, time.Until(due)) == nil; due = due.Add(frame) {
			level := silence
			if a.userFrames.Load() > 0 {
				a.userFrames.Add(-1)
				level = loudness
			}
			_ = track.WriteSample(media.Sample{Data: opusSilence, Duration: frame},
				&lksdk.SampleWriteOptions{AudioLevel: &level})
		}
	})
	return leave, nil
}

// userSpeaks lets the user speak and leave.
func (a *avatar) userSpeaks(ctx context.Context) {
	if sleep.For(ctx, a.UserAt) == nil {
		a.userFrames.Store(int64(a.UserFor / frame))
		for a.userFrames.Load() > 0 && sleep.For(ctx, frame) == nil {
		}
		a.leaveUser()
	}
}

// Hum lets a participant join a room and hum a tone, without the frames of 20 ms in which
// isPaused reports true; nil: without a pause. leave ends it.
func Hum(
	ctx context.Context, server, room, identity string, hertz float64, isPaused func(frame int) bool,
) (leave func(), err error) {
	encoder, err := opusencoder.New(48000, false)
	if err != nil {
		return nil, err
	}
	who := lksdk.NewRoom(nil)
	err = who.JoinWithContext(ctx, server, lksdk.ConnectInfo{
		APIKey: Key, APISecret: Secret, RoomName: room, ParticipantIdentity: identity, ParticipantName: identity,
	}, lksdk.WithAutoSubscribe(false), lksdk.WithConnectTimeout(time.Minute)) // a busy machine is slow
	if err != nil {
		encoder.Close()
		return nil, err
	}
	track, err := lksdk.NewLocalTrack(opusTrack)
	if err == nil {
		_, err = who.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "microphone",
			Source: livekit.TrackSource_MICROPHONE})
	}
	if err != nil {
		encoder.Close()
		who.Disconnect()
		return nil, err
	}
	humming, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		defer encoder.Close()
		hum(humming, encoder, track, hertz, isPaused)
	})
	return func() {
		cancel()
		running.Wait()
		who.Disconnect()
	}, nil
}

// hum writes a tone to a track in real time, until ctx ends.
func hum(
	ctx context.Context, encoder *opusencoder.Encoder, track *lksdk.LocalTrack, hertz float64, isPaused func(int) bool,
) {
	samples := make([]int16, 960)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		for i := range samples {
			samples[i] = int16(9000 * math.Sin(2*math.Pi*hertz*float64(n*960+i)/48000))
		}
		packet, err := encoder.Encode(samples)
		if err == nil && (isPaused == nil || !isPaused(n)) {
			_ = track.WriteSample(media.Sample{Data: slices.Clone(packet), Duration: frame,
				PacketTimestamp: uint32(960 * (n + 1))}, nil)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
