//go:build !linux && !windows

package tavus

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
)

// processStart tells when a process started, to the second, as ps(1) says it.
func processStart(pid int) (string, error) {
	ps := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid))
	ps.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/bin:/usr/bin"}
	out, err := ps.Output()
	if _, none := errors.AsType[*exec.ExitError](err); none {
		return "", errNoProcess
	}
	if err != nil {
		return "", err
	}
	state, started, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if state == "" || state[0] == 'Z' {
		return "", errNoProcess
	}
	return strings.TrimSpace(started), nil
}
