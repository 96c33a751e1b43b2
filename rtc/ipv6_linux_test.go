package rtc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"echocast/internal/testwait"
)

// Two peers connect on a machine with ::1 as its only loopback address.
func TestConnectOverIPv6Only(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(testwait.Context(t), self)
	command.Env = append(os.Environ(), onlyIPv6Env+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Skipf("NOT TESTED: this system cannot create a network namespace: %v", err)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// talkOverIPv6 is that process. It is in a separate network.
func talkOverIPv6() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := talkOnce(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func talkOnce(ctx context.Context) error {
	if err := onlyIPv6(); err != nil {
		return fmt.Errorf("no network with ::1 alone: %w", err)
	}
	l, err := Listen("[::1]:0", patient(nil))
	if err != nil {
		return err
	}
	defer l.Close()
	dialer, err := Dial(ctx, l.URL(), patient(nil))
	if err != nil {
		return err
	}
	defer dialer.Close()
	accepted, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	defer accepted.Close()
	if err := dialer.Send(ctx, []byte("hello")); err != nil {
		return err
	}
	_, err = accepted.Receive(ctx)
	return err
}

// onlyIPv6 brings up the loopback interface and takes 127.0.0.1 off it.
func onlyIPv6() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, loopback); err != nil {
		return err
	}
	if err := loopback.SetInet4Addr(make([]byte, 4)); err != nil {
		return err
	}
	return unix.IoctlIfreq(socket, unix.SIOCSIFADDR, loopback)
}
