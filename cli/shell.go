package cli

import (
	"context"
	"os/exec"
	"time"
)

// shell is a command line of the user's. When ctx ends, it and all it started
// are killed.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := shellCommand(ctx, line)
	cmd.WaitDelay = time.Second // for what it left behind with its pipes open
	return cmd
}
