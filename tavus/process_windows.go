package tavus

import (
	"errors"
	"strconv"
	"syscall"
)

// processStart tells when a process started, in 100 ns since 1601.
func processStart(pid int) (string, error) {
	const queryLimited, invalidParameter, stillActive = 0x1000, syscall.Errno(87), 259
	handle, err := syscall.OpenProcess(queryLimited, false, uint32(pid))
	if errors.Is(err, invalidParameter) {
		return "", errNoProcess
	}
	if err != nil {
		return "", err
	}
	defer syscall.CloseHandle(handle)
	var code uint32
	if err := syscall.GetExitCodeProcess(handle, &code); err != nil {
		return "", err
	}
	if code != stillActive {
		return "", errNoProcess
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(handle, &created, &exited, &kernel, &user); err != nil {
		return "", err
	}
	return strconv.FormatInt(created.Nanoseconds(), 10), nil
}
