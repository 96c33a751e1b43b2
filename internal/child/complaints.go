package child

import (
	"fmt"
	"strings"
)

// Complaints keeps the last line that a command writes to standard error. It must be read
// only after the command has ended.
type Complaints struct{ text []byte }

// Write keeps the end of the output.
func (c *Complaints) Write(p []byte) (int, error) {
	const most = 1000
	c.text = append(c.text, p...)
	c.text = c.text[max(len(c.text)-most, 0):]
	return len(p), nil
}

// AboutBroken ends a command whose output was unusable. If the command itself failed,
// AboutBroken returns that error, which may be the reason. Otherwise it returns nil.
func (c *Complaints) AboutBroken(p *Process) error {
	isLate, err := p.WaitFor(IdleTimeout)
	if isLate {
		return nil
	}
	return c.About(err)
}

// About returns the error of a failed command, with its last line. It returns nil if err is
// nil.
func (c *Complaints) About(err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(c.text)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return fmt.Errorf("the command ended with %w: %s", err, last)
	}
	return fmt.Errorf("the command ended with %w", err)
}
