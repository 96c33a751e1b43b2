package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"echocast/internal/child"
)

// mostReply is how much of an answer is kept, to be shown.
const mostReply = 64 << 10

// answerCommands are the two commands of one answer, the second fed by the
// first. When their context ends, they are killed.
type answerCommands struct {
	think *exec.Cmd // nil where the text is given
	pipe  io.Closer // between the two
	speak *exec.Cmd
	stop  context.CancelFunc
	said  *kept
	given string
}

// startCommands starts the commands, and returns the audio that they make. said
// is what the user said; where it is empty, text is spoken.
func startCommands(ctx context.Context, think, tts, said, text string, out *reporter) (*answerCommands, io.ReadCloser, error) {
	ctx, stop := context.WithCancel(ctx)
	c := &answerCommands{stop: stop, said: &kept{}, given: text}
	c.speak = child.Shell(ctx, tts)
	c.speak.Stderr = out.people
	audio, err := c.speak.StdoutPipe()
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("--tts: %w", err)
	}
	c.speak.Stdin = strings.NewReader(text + "\n")
	if said != "" {
		if err := c.startThinking(ctx, think, said, out); err != nil {
			stop()
			return nil, nil, err
		}
	}
	if err := c.speak.Start(); err != nil {
		stop()
		_ = c.waitThinking()
		return nil, nil, fmt.Errorf("--tts: %w", err)
	}
	return c, audio, nil
}

// startThinking starts the command that answers, and joins its output to the
// other's input.
func (c *answerCommands) startThinking(ctx context.Context, think, said string, out *reporter) error {
	c.think = child.Shell(ctx, think)
	c.think.Stderr = out.people
	c.think.Stdin = strings.NewReader(said + "\n")
	reply, err := c.think.StdoutPipe()
	if err != nil {
		return fmt.Errorf("--on-utterance: %w", err)
	}
	if err := c.think.Start(); err != nil {
		return fmt.Errorf("--on-utterance: %w", err)
	}
	c.pipe, c.speak.Stdin = reply, io.TeeReader(reply, c.said)
	return nil
}

// wait waits for both to end, which is made sure of where nobody reads what they
// make any more.
func (c *answerCommands) wait(abandon bool) error {
	if abandon {
		c.stop()
	}
	if c.pipe != nil { // one that writes on, to nobody, must not keep the other
		defer time.AfterFunc(lingering, c.stop).Stop()
	}
	speaking := c.speak.Wait() // it has read what the other wrote
	thinking := c.waitThinking()
	c.stop()
	return first(commandError("--on-utterance", thinking, abandon), commandError("--tts", speaking, abandon))
}

func (c *answerCommands) waitThinking() error {
	if c.think == nil {
		return nil
	}
	_ = c.pipe.Close() // nobody reads it any more, as in a pipeline of the shell
	err := c.think.Wait()
	if err != nil && strings.Contains(err.Error(), "broken pipe") {
		return nil
	}
	return err
}

// commandError is what went wrong with a command, but for our own killing.
func commandError(flag string, err error, killed bool) error {
	_, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case killed && (!exited || strings.Contains(err.Error(), "killed")):
		return nil
	}
	return fmt.Errorf("%s: the command failed: %w", flag, err)
}

// reply is what the first command said.
func (c *answerCommands) reply() string {
	if c.think == nil {
		return c.given
	}
	return c.said.String()
}

// kept keeps the beginning of what is written.
type kept struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text.Write(p[:min(len(p), mostReply-k.text.Len())])
	return len(p), nil
}

func (k *kept) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}
