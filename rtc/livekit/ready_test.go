package livekit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/rtc/livekit/livekittest"
)

// LiveKit's own worker publishes its audio, and publishes its video only when somebody has
// subscribed to the audio. No other participant is in the room.
func TestAvatarWaitsForSubscriber(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-publish", livekittest.PublishAudioFirst, "-speed", "50")
	r := join(t, t.Name(), &Options{ReadyWhen: ReadyVideo})
	s := session(t, r, burst)
	avatar.expect(livekittest.Video)
	what := noise(1)
	speak(t, s, what)
	mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
}

// By default, the same worker publishes nothing before it has something to say.
func TestAvatarPublishesWhenSpokenTo(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]*Options{
		"fallback": {ReadyFallback: 100 * time.Millisecond},
		"joined":   {ReadyWhen: ReadyJoined},
	} {
		t.Run(name, func(t *testing.T) {
			room := strings.ReplaceAll(t.Name(), "/", "-")
			avatar := startAvatar(t, room, "-publish", livekittest.PublishWhenSpoken, "-speed", "50")
			s := session(t, join(t, room, options), burst)
			what := noise(1)
			speak(t, s, what)
			mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
		})
	}
}

func TestReadyWhenAudio(t *testing.T) {
	avatar := startAvatar(t, t.Name(), "-publish", livekittest.PublishAudioFirst)
	r := join(t, t.Name(), &Options{ReadyWhen: ReadyAudio})
	if err := next(r, TypeAvatarReady); err != nil {
		t.Fatal(err)
	}
	avatar.expect(livekittest.Audio)
	avatar.expect(livekittest.Video) // the subscription outlasts the readiness
}

// The error of a wait for the avatar says what is missing.
func TestReadyTimeoutNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := join(t, t.Name(), &Options{ReadyWhen: ReadyVideo})
	for _, step := range []struct{ publish, want string }{
		{"", "nobody with the identity tavus-avatar-agent is in the room"},
		{livekittest.PublishNothing, "tavus-avatar-agent has joined and published nothing, but no video; " +
			"--ready-when joined"},
	} {
		if step.publish != "" {
			startAvatar(t, t.Name(), "-publish", step.publish).expect(livekittest.Joined)
			waitUntil(t, func() bool { return r.avatar() != nil })
		}
		s, err := echo.NewSession(r, &echo.Options{ReadyTimeout: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		err = s.WaitReady(testwait.Context(t))
		_ = s.Close()
		if !errors.Is(err, echo.ErrNotReady) || !strings.Contains(err.Error(), step.want) {
			t.Errorf("WaitReady: %v, want %q in it", err, step.want)
		}
	}
	startAvatar(t, t.Name(), "-identity", "another", "-publish", livekittest.PublishNothing).expect(livekittest.Joined)
	waitUntil(t, func() bool { return strings.Contains(r.otherIdentities(), "another") })
}

func TestReadyPolicyIsChecked(t *testing.T) {
	_, err := Join(t.Context(), Address{"ws://127.0.0.1:1", "r"}, Credentials{Token: "t"}, &Options{ReadyWhen: "soon"})
	if err == nil || !strings.Contains(err.Error(), `ready when "soon": use joined, audio or video`) {
		t.Error(err)
	}
}

// An avatar that was invited by another sender would reject our audio.
func TestWarningOfAvatarForAnotherSender(t *testing.T) {
	t.Parallel()
	for onBehalfOf, warns := range map[string]bool{"somebody-else": true, "echocast": false} {
		t.Run(onBehalfOf, func(t *testing.T) {
			room := strings.ReplaceAll(t.Name(), "/", "-")
			warnings := make(chan string, 10)
			startAvatar(t, room, "-on-behalf-of", onBehalfOf).expect(livekittest.Joined)
			r := join(t, room, &Options{Warn: func(text string) { warnings <- text }})
			if err := next(r, TypeAvatarReady); err != nil {
				t.Fatal(err)
			}
			close(warnings)
			text, warned := <-warnings
			if warned != warns || warns && !strings.Contains(text, `"somebody-else" and will ignore us: we are "echocast"`) {
				t.Errorf("warned %v: %q", warned, text)
			}
		})
	}
}

// waitUntil waits until the SDK has learned something about the room.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	ctx := testwait.Context(t)
	for !done() {
		if !pause(ctx, nil) {
			t.Fatal("it did not come about")
		}
	}
}
