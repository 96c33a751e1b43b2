//go:build unix

// Package terminal reads keys from the terminal, and reads standard input in a way that can
// be cancelled.
package terminal

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"echocast/internal/shutdown"
)

// WatchPresses calls pressed for each SIGUSR2 and for each space typed on the terminal, one
// call at a time. hasKeys reports whether there is a terminal. stop cancels the context of
// pressed, stops watching, waits until that is done, and restores the terminal.
func WatchPresses(pressed func(ctx context.Context)) (hasKeys bool, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	presses := make(chan struct{}, 1)
	press := func() {
		select {
		case presses <- struct{}{}:
		default: // one press is waiting already
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	var ended sync.WaitGroup
	ended.Go(func() {
		for range signals {
			press()
		}
	})
	ended.Go(func() {
		for {
			select {
			case <-presses:
				pressed(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	hasKeys, leave := watchKeys(&ended, press)
	return hasKeys, func() {
		signal.Stop(signals)
		close(signals)
		leave()
		cancel()
		ended.Wait()
	}
}

// watchKeys reads keys from the controlling terminal. It opens the terminal again, because
// closing that file unblocks a read.
func watchKeys(ended *sync.WaitGroup, space func()) (hasKeys bool, leave func()) {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false, func() {}
	}
	front, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || front != unix.Getpgrp() {
		_ = unix.Close(fd)
		return false, func() {} // reading in the background would stop the program
	}
	restore, err := readKeysAtOnce(fd)
	if err != nil {
		_ = unix.Close(fd)
		return false, func() {}
	}
	signal.Ignore(syscall.SIGTTIN) // if moved to the background later, reads fail
	tty := os.NewFile(uintptr(fd), "/dev/tty")
	ended.Go(func() {
		var key [1]byte
		for {
			if n, err := tty.Read(key[:]); n == 0 || err != nil {
				return
			}
			if key[0] == ' ' {
				space()
			}
		}
	})
	return true, func() {
		restore()
		_ = tty.Close()
	}
}

// readKeysAtOnce makes the terminal pass on each key at once, without echo. Ctrl-C still
// sends a signal.
func readKeysAtOnce(fd int) (restore func(), err error) {
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	during := *before
	during.Lflag &^= unix.ICANON | unix.ECHO
	during.Cc[unix.VMIN], during.Cc[unix.VTIME] = 1, 0
	reset := func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }
	done := shutdown.AtExit(reset)
	restore = func() {
		reset()
		done()
	}
	if err := unix.IoctlSetTermios(fd, setTermios, &during); err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}
