package cli

import (
	"errors"

	"echocast/audio"
	"echocast/cluster/sharing"
	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/roomoption"
	"echocast/internal/shutdown"
	"echocast/internal/text"
	"echocast/room"
	"echocast/room/rest"
	"echocast/speak"
	"echocast/tavus"
	"echocast/voicetest"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInput       = 3
	exitRefused     = 4
	exitNotReady    = 5
	exitLost        = 6
	exitTooLong     = 7
	exitInterrupted = 8
	exitUnverified  = 9
	exitNotRejoined = 10
	exitTalkFailed  = 11
	exitSignal      = 128 // plus the number of the signal
)

// exitKind names an exit code for programs.
func exitKind(code int) string {
	if code > exitSignal {
		return "signal"
	}
	return [...]string{
		exitFailure: "failure", exitUsage: "usage", exitInput: "input", exitRefused: "refused", exitNotReady: "not_ready",
		exitLost: "lost", exitTooLong: "too_long", exitInterrupted: "interrupted", exitUnverified: "unverified",
		exitNotRejoined: "not_rejoined", exitTalkFailed: "talk_failed",
	}[code]
}

const helpExitCodes = `Exit codes:
     0  every utterance was heard, or sent with --wait sent
     1  an unexpected error
     2  wrong usage, or an option names a file that cannot be written
     3  an input is missing, unreadable, broken or not audio
     4  the service refused or failed (for example, an invalid API key), or the
        replica refused the room key
     5  the replica or the service could not be reached, or did not join in time
     6  the connection was lost
     7  a chunk, or another message, does not fit the message limit
     8  the replica was interrupted: by another participant, by the user's speech
        (--barge-in), by SIGUSR2 or by space
     9  sent, but not confirmed: an utterance as heard, an interrupt as obeyed
    10  the connection was lost and could not be restored
    11  a talk of echocast test was not heard as it expects
   130  interrupted by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP; but 0 for
        listen, converse, bridge, hear, replica and serve, which run until then`

// usagef makes an error of wrong usage.
func usagef(format string, args ...any) error { return option.Errorf(format, args...) }

// exitCode returns the documented exit code of an error.
func exitCode(err error) int {
	var signal shutdown.SignalError
	var chunk *echo.ChunkError
	var input *speak.InputError
	var broken *audio.InputError
	var unreachable *room.UnreachableError
	var long tooLongError
	var refused *tavus.APIError
	var locked *roomoption.KeyError
	var unanswered *tavus.TransportError
	switch {
	case err == nil, output.ReaderHasClosed(err):
		return exitOK
	case errors.As(err, &signal):
		return exitSignal + int(signal.Signal)
	case errors.As(err, new(*option.Error)), errors.As(err, new(needsServerError)),
		errors.As(err, new(*outfile.NameError)):
		return exitUsage
	case errors.As(err, &chunk), errors.As(err, &long):
		return exitTooLong
	case errors.Is(err, echo.ErrNotRejoined):
		return exitNotRejoined
	case errors.As(err, &refused), errors.As(err, &locked), errors.As(err, new(*rest.EndedError)),
		errors.As(err, new(*room.RefusedError)), errors.As(err, new(*sharing.RefusedError)):
		return exitRefused
	case errors.Is(err, echo.ErrLost):
		return exitLost
	case errors.Is(err, echo.ErrNotReady), errors.As(err, &unreachable), errors.As(err, &unanswered),
		errors.As(err, new(*sharing.UnreachableError)):
		return exitNotReady
	case errors.Is(err, echo.ErrInterrupted), errors.Is(err, echo.ErrBargeIn), errors.Is(err, echo.ErrStopped),
		errors.Is(err, echo.ErrPaused):
		return exitInterrupted
	case errors.Is(err, echo.ErrUnverified):
		return exitUnverified
	case errors.Is(err, errTalkFailed):
		return exitTalkFailed
	case errors.As(err, new(*voicetest.Error)), errors.As(err, &broken),
		errors.As(err, &input), errors.Is(err, echo.ErrNoText):
		return exitInput
	}
	return exitFailure
}

// isPrinted reports whether an error was printed already, or nobody reads stdout.
func isPrinted(err error) bool {
	return output.ReaderHasClosed(err) || errors.As(err, new(*output.PrintedError))
}

func firstLine(words string) string     { return text.FirstLine(words) }
func counted(n int, noun string) string { return text.Count(n, noun) }
