package child

import (
	"errors"
	"os/exec"
	"runtime"
	"time"
)

// WaitFor waits as Wait does, but kills a command that does not exit within limit, for
// example because nobody reads its output any more. isLate reports whether WaitFor killed
// it. A command that has exited just before was not killed.
func (p *Process) WaitFor(limit time.Duration) (isLate bool, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.Exited():
		return false, p.Wait()
	case <-timer.C:
		p.Kill()
		err := p.Wait()
		return wasKilled(err), err
	}
}

// wasKilled reports whether a command that was killed ended by that, and not by itself before.
// On Windows it cannot know, and reports true for a command that failed.
func wasKilled(err error) bool {
	failed, ok := errors.AsType[*exec.ExitError](err)
	return ok && (runtime.GOOS == "windows" || !failed.Exited())
}
