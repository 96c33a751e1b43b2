//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// notes is a log of what happened in a conversation, or to the processes.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(format string, values ...any) {
	line := time.Now().Format("15:04:05.000 ") + fmt.Sprintf(format, values...)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

// all returns the lines so far.
func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

// explain writes the log of a conversation with a failure, and what happened to the
// processes meanwhile, to a file in the log folder.
func (r *result) explain(c *client) {
	lines := slices.Concat(c.stage.notes.all(), r.system.notes.all())
	slices.Sort(lines)
	file := filepath.Join(r.options.dir, c.id+".txt")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
}
