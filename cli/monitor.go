package cli

import (
	"errors"
	"fmt"

	"echocast/echo"
	"echocast/internal/outfile"
	"echocast/monitor"
)

// monitorPlay is the value of --monitor that plays; others are names of files.
const monitorPlay = "play"

// checkMonitor refuses to play where nothing can, before anything is spoken. It returns the
// file that --monitor writes, if it writes one.
func (s *sendCmd) checkMonitor() (file string, err error) {
	if s.monitor != monitorPlay {
		return s.monitor, nil
	}
	if _, err := monitor.FindProgram(); err != nil {
		return "", usagef("--monitor play: %v; or name a file to write", err)
	}
	return "", nil
}

// startMonitor begins to play or to write what the replica gets. observe takes the moments of
// the session, and is nil where nothing is monitored; stop is called when the session is closed.
func (s *sendCmd) startMonitor() (observe func(echo.Moment), stop func() error, err error) {
	switch s.monitor {
	case "":
		return nil, func() error { return nil }, nil
	case monitorPlay:
		program, err := monitor.FindProgram()
		if err != nil {
			return nil, nil, err
		}
		player := monitor.NewPlayer(program)
		return player.Observe, func() error {
			if err := player.Close(); err != nil {
				return fmt.Errorf("--monitor play: %w", err)
			}
			return nil
		}, nil
	}
	file, err := outfile.Create(s.monitor)
	if err != nil {
		return nil, nil, named("--monitor "+s.monitor, err)
	}
	written := monitor.NewFile(file)
	return written.Observe, func() error {
		return named("--monitor "+s.monitor, errors.Join(written.Close(), file.Close()))
	}, nil
}
