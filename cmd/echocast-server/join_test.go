//go:build unix

package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"echocast/rtc/livekit/livekittest"
)

// A replica joins a room on a real livekit-server, echocast speaks to it there until it was
// heard in full, and a signal makes it leave.
func TestReplicaJoinsARoom(t *testing.T) {
	server := startLiveKit(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, os.Args[0], args...)
		c.Env = append(os.Environ(), runsTheProgram+"=1", "LIVEKIT_API_KEY="+livekittest.Key,
			"LIVEKIT_API_SECRET="+livekittest.Secret)
		return c
	}
	room := "livekit+" + server.URL + "/guests"
	replica := command("replica", "--join", room, "--json")
	said, err := replica.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var report strings.Builder
	replica.Stdout = &report
	if err := replica.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	if !lines.Scan() || lines.Text() != "echocast: joined the room guests as tavus-avatar-agent" {
		t.Fatalf("the replica says %q", lines.Text())
	}
	output, err := command("send", "--to", room, "../../testdata/speech.wav").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "heard in full") {
		t.Errorf("send: %v\n%s", err, output)
	}
	all := ""
	for !strings.Contains(all, "has left") && lines.Scan() { // the server reports that a moment later
		all += lines.Text() + "\n"
	}
	_ = replica.Process.Signal(syscall.SIGTERM)
	for lines.Scan() {
		all += lines.Text() + "\n"
	}
	if err := replica.Wait(); err != nil {
		t.Errorf("the replica ended with %v", err)
	}
	if !strings.Contains(all, "speaking") || !strings.Contains(all, "has left") ||
		!strings.Contains(report.String(), `"complaints":[]`) {
		t.Errorf("the replica said\n%s\nand reports %s", all, report.String())
	}
}
