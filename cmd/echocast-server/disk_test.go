//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"echocast/internal/testwait"
)

// onSmallDisk returns a program that runs its arguments with a file system of a few megabytes at
// a directory. It skips the test if this machine mounts none.
func onSmallDisk(t *testing.T, dir string) (wrapper []string) {
	t.Helper()
	for _, flags := range []string{"-m", "-Urm"} {
		wrapper = []string{"unshare", flags, "sh", "-c", `mount -t tmpfs -o size=24m none "$0" && exec "$@"`, dir}
		if exec.CommandContext(t.Context(), wrapper[0], append(wrapper[1:], "true")...).Run() == nil {
			return wrapper
		}
	}
	t.Skip("unshare cannot mount a file system here")
	return nil
}

// fill fills a file system by a file.
func fill(t *testing.T, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for piece := make([]byte, size); err == nil; {
			_, err = file.Write(piece)
		}
		err = nil
	}
}

// roomForAMoment is less than the audio of five seconds.
const roomForAMoment = 200 << 10

// fillForAMoment leaves little room on a disk. Once that is taken too, there is room again, and
// it closes the channel.
func fillForAMoment(t *testing.T, name string) (hasRoom chan struct{}) {
	t.Helper()
	fill(t, name)
	info, err := os.Stat(name)
	if err == nil {
		err = os.Truncate(name, info.Size()-roomForAMoment)
	}
	if err != nil {
		t.Fatal(err)
	}
	hasRoom = make(chan struct{})
	go func() { // it ends with the disk
		defer close(hasRoom)
		var disk syscall.Statfs_t
		for syscall.Statfs(filepath.Dir(name), &disk) == nil && disk.Bavail > 0 {
			time.Sleep(time.Millisecond)
		}
		_ = os.Remove(name) // the test sees whether there is room
	}()
	return hasRoom
}

// A disk that is full for a moment leaves an embedded NATS that writes the leases, and no audio:
// what is said then is accepted nevertheless.
func TestDiskThatIsFullForAMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wrapper := onSmallDisk(t, dir)
	node := startGatewayBy(t, wrapper, nil, "--rehearse", "--nats", "embedded", "--data", filepath.Join(dir, "nats"))
	conversation := node.create(t, `{"to":"rehearsal"}`)
	hasRoom := fillForAMoment(t, fmt.Sprintf("/proc/%d/root%s/filler", node.program.Process.Pid, dir))
	said := node.say(t, conversation, ramp(5))
	testwait.Receive(t, hasRoom)
	node.checkFinished(t, conversation, said)
}

// If the disk of an embedded NATS becomes full, the gateway says so and accepts nothing more.
// When there is room again, it continues by itself: what it had acknowledged is said. If nothing
// is said when the disk becomes full, NATS stops to write some of its streams, and not others.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, isSaid := range map[string]bool{"while it speaks": false, "when all is said": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFullDisk(t, isSaid)
		})
	}
}

func testFullDisk(t *testing.T, isSaid bool) {
	t.Helper()
	dir := t.TempDir()
	wrapper := onSmallDisk(t, dir)
	node := startGatewayBy(t, wrapper, nil, "--rehearse", "--nats", "embedded", "--data", filepath.Join(dir, "nats"))
	disk := fmt.Sprintf("/proc/%d/root%s", node.program.Process.Pid, dir)
	conversation := node.create(t, `{"to":"rehearsal"}`)
	said := node.say(t, conversation, ramp(3))
	if isSaid {
		node.waitOver(t, conversation, said)
	}
	fill(t, filepath.Join(disk, "filler"))
	refused := ""
	await(t, func() bool {
		_, status := node.trySay(t, conversation, "full", ramp(20))
		if status == http.StatusAccepted {
			t.Fatal("audio is acknowledged that cannot be stored")
		}
		to := strings.NewReader(`{"to":"rehearsal"}`)
		answer, err := http.Post(node.url, "application/json", to) //nolint:noctx // of this machine
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body) // an error shows below
		refused = string(text)
		return answer.StatusCode == http.StatusInsufficientStorage
	})
	var p struct{ Detail string }
	if json.Unmarshal([]byte(refused), &p) != nil || !strings.Contains(p.Detail, "NATS cannot write in "+dir) {
		t.Errorf("a creation is refused with %s", refused)
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	again := node.say(t, conversation, ramp(1))
	for _, utterance := range []string{said, again} {
		if u := node.waitOver(t, conversation, utterance); u.Receipt.Outcome != "finished" {
			t.Errorf("an utterance ended so: %+v", u)
		}
	}
}

// On a full disk, a node with an embedded NATS does not start, and says why in one line.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wrapper := onSmallDisk(t, dir)
	wrapper[4] = strings.Replace(wrapper[4], "exec", `cat /dev/zero > "$0/filler" 2> /dev/null; exec`, 1)
	arguments := append(wrapper[1:], os.Args[0], "serve", "--listen", "127.0.0.1:0", "--rehearse")
	arguments = append(arguments, "--nats", "embedded", "--data", dir)
	program := exec.CommandContext(t.Context(), wrapper[0], arguments...)
	program.Env = append(os.Environ(), runsTheProgram+"=1")
	out, err := program.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if program.ProcessState.ExitCode() != 1 || !strings.Contains(last, dir+", where 0 bytes are free") {
		t.Errorf("it ends with %v:\n%s", err, out)
	}
}
