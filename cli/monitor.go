package cli

import (
	"errors"
	"os"

	"echocast/echo"
	"echocast/internal/outfile"
	"echocast/monitor"
)

// monitorPlay is the value of --monitor that plays. Other values are file names.
const monitorPlay = "play"

// checkMonitor fails if nothing can play, before anything is spoken. It returns the file that
// --monitor writes, if it writes one.
func (s *sendCmd) checkMonitor(inputs []string) (file string, err error) {
	if s.monitor != monitorPlay {
		if _, err := os.Stat(s.monitor); err == nil && len(inputs) == 0 {
			return "", usagef("the input after --monitor is taken for its value: write --monitor play %s", s.monitor)
		}
		return s.monitor, nil
	}
	if _, err := monitor.FindProgram(); err != nil {
		return "", usagef("--monitor play: %v; or name a file to write", err)
	}
	return "", nil
}

// startMonitor plays or writes what the replica gets, until the room was left.
func (s *sendCmd) startMonitor(to *target, options *echo.Options) error {
	if s.monitor == "" {
		return nil
	}
	observe, end, err := openMonitor(s.monitor)
	if err != nil {
		return named("--monitor "+s.monitor, err)
	}
	options.Observe = observe
	to.onClose = append(to.onClose, func() error { return named("--monitor "+s.monitor, end()) })
	return nil
}

// openMonitor returns functions that take the moments of a session, and that end the monitor.
func openMonitor(name string) (observe func(echo.Moment), end func() error, err error) {
	if name == monitorPlay {
		program, err := monitor.FindProgram()
		if err != nil {
			return nil, nil, err
		}
		player := monitor.NewPlayer(program)
		return player.Observe, player.Close, nil
	}
	file, err := outfile.Create(name)
	if err != nil {
		return nil, nil, err
	}
	written := monitor.NewFile(file)
	return written.Observe, func() error { return errors.Join(written.Close(), file.Close()) }, nil
}
