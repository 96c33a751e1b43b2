package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal: what a user types goes into keys.
func terminal(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminal can be had: %v", err)
	}
	t.Cleanup(func() { keys.Close() })
	fd := int(keys.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keys, tty
}

// Space on the terminal does what SIGUSR2 does, and the terminal is left as it
// was.
func TestSpaceKey(t *testing.T) {
	for name, resume := range map[string]bool{"interrupts": false, "pauses with --resume": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, tty := terminal(t)
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			testControl(t, resume, func(t *testing.T, send *exec.Cmd) func() {
				send.Stdin = tty
				send.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
				if err := send.Start(); err != nil {
					t.Fatal(err)
				}
				return func() {
					if _, err := keys.WriteString("x "); err != nil {
						t.Error(err)
					}
				}
			})
			after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *after != *before {
				t.Errorf("the terminal is left at %+v, it was at %+v", after, before)
			}
		})
	}
}
