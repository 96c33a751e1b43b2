package child

import "time"

// WaitFor waits as Wait does, but kills a command that does not exit within limit, for
// example because nobody reads its output any more. isLate reports whether WaitFor killed
// it.
func (p *Process) WaitFor(limit time.Duration) (isLate bool, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.Exited():
	case <-timer.C:
		isLate = true
		p.Kill()
	}
	return isLate, p.Wait()
}
