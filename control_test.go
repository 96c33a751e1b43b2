//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"echocast/echo"
)

// speechFile writes a WAV of the given length in seconds.
func speechFile(t *testing.T, seconds int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "speech.wav")
	data := append(wavHeader(24000, 1), sweep(seconds*24000, 24000)...)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// heldSpeech is a WAV of four seconds in a pipe. Half of them come when release is called, so
// before, its speech does not end, however late a key is pressed.
func heldSpeech(t *testing.T, name string) (path string, release func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // waits for no reader
	if err != nil {
		t.Fatal(err)
	}
	data := append(wavHeader(24000, 1), sweep(4*24000, 24000)...)
	binary.LittleEndian.PutUint32(data[4:], uint32(len(data)-8))
	binary.LittleEndian.PutUint32(data[40:], uint32(len(data)-44))
	mayEnd := make(chan struct{})
	release = sync.OnceFunc(func() { close(mayEnd) })
	go func() { // it ends with the test
		const held = 2 * 48000
		_, _ = pipe.Write(data[:len(data)-held]) // the receipt shows what went wrong
		<-mayEnd
		_, _ = pipe.Write(data[len(data)-held:])
		_ = pipe.Close()
	}()
	t.Cleanup(func() {
		release()
		_ = pipe.Close() // it may be closed
	})
	return path, release
}

// receipts reads the lines of --json.
func receipts(t *testing.T, stdout string) (all []echo.Receipt) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var receipt echo.Receipt
		if err := json.Unmarshal([]byte(line), &receipt); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, receipt)
	}
	return all
}

// testControl speaks two files, with press as what the user does.
func testControl(t *testing.T, resume bool, start func(t *testing.T, send *exec.Cmd) (press func())) {
	speech, release := heldSpeech(t, "speech.wav")
	r := startReplica(t)
	args := []string{"send", "--json", "--to", r.url, speech, speechFile(t, 1)}
	if resume {
		args = append(args, "--resume")
	}
	send := program(t, args...)
	var stdout, stderr bytes.Buffer
	send.Stdout, send.Stderr = &stdout, &stderr
	press := start(t, send)
	r.await(t, "speaking")
	press()
	r.await(t, "interrupted")
	if resume {
		release()
		press()
	}
	_ = send.Wait() // its code is looked at below
	all := receipts(t, stdout.String())
	code := send.ProcessState.ExitCode()
	if !resume {
		if code != 8 || len(all) != 1 || all[0].Outcome != echo.Interrupted {
			t.Errorf("exit code %d, receipts %+v: %s", code, all, stderr.String())
		}
		return
	}
	if code != 0 || len(all) != 3 || all[1].Resumes != all[0].InferenceID || all[1].Outcome != echo.Finished ||
		all[2].Resumes != "" {
		t.Fatalf("exit code %d, receipts %+v: %s", code, all, stderr.String())
	}
	// What was not heard of the first part is in the second, from a silence
	// at most a second before on.
	if all[0].SpokenSeconds+all[1].SpokenSeconds < 3.95 || all[0].SpokenSeconds+all[1].SpokenSeconds > 5.05 {
		t.Errorf("%v s and %v s were heard of 4 s", all[0].SpokenSeconds, all[1].SpokenSeconds)
	}
	if report, _ := r.report(t); report.ComplaintCount != 0 {
		t.Errorf("the replica complains: %+v", report.Complaints)
	}
}

func TestSIGUSR2(t *testing.T) {
	for name, resume := range map[string]bool{"interrupts": false, "pauses with --resume": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testControl(t, resume, func(t *testing.T, send *exec.Cmd) func() {
				if err := send.Start(); err != nil {
					t.Fatal(err)
				}
				return func() {
					if err := send.Process.Signal(syscall.SIGUSR2); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
