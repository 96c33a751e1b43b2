//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// command is one of the compared commands.
type command struct {
	name string
	// line is the shell command that reads the file and writes to stdout.
	line func(file string) string
	// audio returns the number of bytes of samples in the command's output.
	audio func(output []byte) (int, error)
}

//go:embed json_messages.py
var pythonMessages []byte

// findCommands returns the commands whose programs are installed. The first command is the
// one that the others are compared with.
func findCommands(ctx context.Context, echocast, dir string) ([]command, error) {
	if _, err := os.Stat(echocast); err != nil {
		return nil, fmt.Errorf("%w; make build first", err)
	}
	for _, needed := range []string{"bash", "base64", "ffmpeg", "sox", "lame"} {
		if _, err := exec.LookPath(needed); err != nil {
			return nil, fmt.Errorf("%s is missing; on Debian, bench/install.sh installs it", needed)
		}
	}
	all := []command{
		{"`ffmpeg \\| base64`", piped(ffmpeg, "base64 -w 0"), base64Audio},
		{"`sox \\| base64`", piped(sox, "base64 -w 0"), base64Audio},
	}
	python, err := findPython(ctx, dir)
	if err != nil {
		return nil, err
	}
	if python != "" {
		all = append(all, command{"`ffmpeg \\| python3` (JSON)", piped(ffmpeg, python), messagesAudio})
	}
	ours := func(options string) func(file string) string {
		return func(file string) string { return quote(echocast) + " encode --quiet " + options + quote(file) }
	}
	return append(all,
		command{"**echocast encode** (JSON)", ours(""), messagesAudio},
		command{"the same, `--resampler zaf`", ours("--resampler zaf "), messagesAudio},
		command{"the same, `--resampler fir`", ours("--resampler fir "), messagesAudio},
	), nil
}

func ffmpeg(file string) string {
	return fmt.Sprintf("ffmpeg -nostdin -v error -i %s -f s16le -ar 24000 -ac 1 -", quote(file))
}

func sox(file string) string {
	return fmt.Sprintf("sox -V1 %s -t raw -e signed-integer -b 16 -r 24000 -c 1 -", quote(file))
}

func piped(decode func(file string) string, into string) func(file string) string {
	return func(file string) string { return decode(file) + " | " + into }
}

// findPython returns the Python command that converts samples to messages, or "" without
// Python. The command names the interpreter directly, because a wrapper would add startup
// time.
func findPython(ctx context.Context, dir string) (string, error) {
	executable, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		say("python3 is missing: its rows are left out")
		return "", nil
	}
	script := filepath.Join(dir, "json_messages.py")
	if err := os.WriteFile(script, pythonMessages, 0o600); err != nil {
		return "", err
	}
	return quote(strings.TrimSpace(string(executable))) + " " + quote(script), nil
}

// quote quotes text as one word for the shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// checkCommands runs every command once on the clip. It fails if a command does not output
// the audio.
func checkCommands(ctx context.Context, commands []command, clip input) error {
	for _, c := range commands {
		output, err := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", c.line(clip.path)).Output()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		got, err := c.audio(output)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if want := clip.seconds * 24000 * 2; math.Abs(float64(got)-want) > want/100 {
			return fmt.Errorf("%s gave %d bytes of audio for %g s, not %g", c.name, got, clip.seconds, want)
		}
	}
	return nil
}

func base64Audio(output []byte) (int, error) {
	audio, err := base64.StdEncoding.DecodeString(string(output))
	return len(audio), err
}

// messagesAudio returns the total length of the chunks in bytes. It checks that only the
// last message is marked as the last.
func messagesAudio(output []byte) (int, error) {
	total := 0
	lines := bytes.Split(bytes.TrimSuffix(output, []byte("\n")), []byte("\n"))
	for i, line := range lines {
		var message struct {
			Properties struct {
				Audio []byte
				Done  bool
			}
		}
		if err := json.Unmarshal(line, &message); err != nil {
			return 0, err
		}
		if message.Properties.Done != (i == len(lines)-1) {
			return 0, errors.New("done is not on the last message alone")
		}
		total += len(message.Properties.Audio)
	}
	return total, nil
}
