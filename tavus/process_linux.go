package tavus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// processStart tells when a process started, in words that no other process
// with its number shares: the boot, and the tick within it. See proc(5).
func processStart(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat("/proc/self/stat"); err != nil {
			return "", err // nothing is known of any process
		}
		return "", errNoProcess
	}
	if err != nil {
		return "", err
	}
	// The name in field 2 may hold anything, parentheses too.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, start = 0, 22 - 3 // field 3 is the first behind it
	if len(fields) <= start {
		return "", fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	if s := fields[state][0]; s == 'Z' || s == 'X' {
		return "", errNoProcess // dead, and nobody has asked how it went
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(boot)) + " " + string(fields[start]), err
}
