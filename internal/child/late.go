package child

import "time"

// WaitFor waits as Wait does, but kills a command that does not exit by itself within
// limit, such as one whose output is not read any more. isLate reports whether it was
// killed.
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
