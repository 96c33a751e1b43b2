package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"echocast/call"
	"echocast/echo"
	"echocast/internal/outfile"
	"echocast/recording"
)

const recordUsage = "write the call to `FILE`: .wav, .webm or .mp4 (by ffmpeg), the replica on the " +
	"left channel and the user on the right, and beside it what was heard, as .vtt (default: nothing)"

// checkRecording fails if the recording of a call cannot be written. An empty name means none.
func checkRecording(name string) error {
	if name == "" {
		return nil
	}
	if err := recording.Check(name, nil); err != nil {
		return usagef("--record %v", err)
	}
	return outfile.CheckAll(map[string]string{"--record": name, "--record (subtitles)": recording.Subtitles(name)}, nil)
}

// isVideoName reports whether a recording is WebM or MP4 by its name.
func isVideoName(name string) bool {
	ending := strings.ToLower(filepath.Ext(name))
	return ending == ".webm" || ending == ".mp4"
}

// recordError adds --record to an error of a recording. It returns nil for expected endings.
func recordError(err error) error {
	if err == nil || hasEnded(err) || errors.Is(err, call.ErrRecorded) {
		return nil
	}
	return fmt.Errorf("--record: %w", err)
}

// record records the call of a session with these options, until the room is left. With an
// empty name it records nothing.
func (t *target) record(ctx context.Context, name string, options *echo.Options) error {
	record, err := t.Record(ctx, name)
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	record.Follow(options)
	t.onLeave = append(t.onLeave, func() error { return recordError(record.Close()) })
	return nil
}

// openPage prints the address of the page of a rehearsal, and waits until a browser shows it.
// If none does within --ready-timeout, it continues without.
func (o *targetOptions) openPage(ctx context.Context, t *target, out *reporter) error {
	if !o.page {
		return nil
	}
	out.say("open this page in a browser to see and hear the replica: %s", t.Local().PageURL())
	limited, cancel := context.WithTimeout(ctx, o.readyTimeout)
	defer cancel()
	if err := t.Local().WaitBrowser(limited, true); err != nil && ctx.Err() == nil {
		out.say("no browser has opened the page within %v (--ready-timeout): speaking", o.readyTimeout)
	}
	return context.Cause(ctx)
}

// stayForPage waits until no browser shows the page any more, or until Ctrl-C. Both are normal
// ends.
func (o *targetOptions) stayForPage(ctx context.Context, t *target, out *reporter) {
	if o.page {
		out.say("the page stays until it is closed; Ctrl-C ends it")
		_ = t.Local().WaitBrowser(ctx, false) // both are normal ends
	}
}
