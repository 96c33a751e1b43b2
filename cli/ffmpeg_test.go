package cli_test

import (
	"strings"
	"testing"

	"echocast/internal/testenv"
)

// Other formats are decoded by ffmpeg if it is installed, with a message that says so, unless
// --no-ffmpeg forbids it.
func TestFFmpegIsUsedByDefault(t *testing.T) {
	dir := t.TempDir()
	file, pcm := wav(24000, 1, 2400)
	said := write(t, "said.wav", file)
	testenv.WriteScript(t, dir, "ffmpeg", "/bin/cat "+said)
	webm := write(t, "speech.webm", []byte("\x1a\x45\xdf\xa3 and more of it"))
	t.Setenv("PATH", dir)
	for _, option := range []string{"--live", "--ffmpeg"} {
		r := run(t, nil, "encode", option, webm)
		if got := audioOf(messages(t, r.stdout)); r.code != 0 || string(got) != string(pcm) ||
			!strings.Contains(r.stderr, "speech.webm: read by ffmpeg: a WebM or Matroska file") {
			t.Errorf("%s: code %d, %d bytes: %s", option, r.code, len(got), r.stderr)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		r := run(t, nil, append(append([]string{"encode"}, args...), webm)...)
		if r.code != 3 || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("%q: code %d: %s", args, r.code, r.stderr)
		}
	}
	refused("this is a WebM or Matroska file; install ffmpeg", "--no-ffmpeg")
	t.Setenv("PATH", t.TempDir())
	refused("this is a WebM or Matroska file; install ffmpeg")
	refused("executable file not found", "--ffmpeg")
	if r := run(t, nil, "encode", "--ffmpeg", "--no-ffmpeg", webm); r.code != 2 {
		t.Errorf("both options: code %d", r.code)
	}
}
