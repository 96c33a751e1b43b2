// Package opener opens a file in the desktop's program for it.
package opener

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// exitTimeout is how long Open waits for the launcher. A program that shows the file itself
// runs longer, and Open leaves it running.
const exitTimeout = 3 * time.Second

// Command returns the command that opens a file on the system with this GOOS.
func Command(goos, file string) []string {
	switch goos {
	case "darwin":
		return []string{"open", file}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", file}
	}
	return []string{"xdg-open", file}
}

// Open opens a file. It returns an error if the desktop's launcher fails within
// exitTimeout.
func Open(ctx context.Context, file string) error { return open(ctx, file, exitTimeout) }

func open(ctx context.Context, file string, limit time.Duration) error {
	args := Command(runtime.GOOS, file)
	command := exec.Command(args[0], args[1:]...) // no context: it may outlive this program
	if err := command.Start(); err != nil {
		return fmt.Errorf("opener: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("opener: %s: %w", args[0], err)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}
