//go:build unix

package monitor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// An installed program is found and gets raw samples. What it prints on stderr is in the
// error.
func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := FindProgram(); !errors.Is(err, ErrNoPlayer) {
		t.Error(err)
	}
	hold, gone := testwait.Holder(t)
	testenv.WriteScript(t, dir, "aplay", hold+`echo "$@" > `+dir+"/args\n/bin/cat > "+dir+"/played\necho busy >&2\nexit 3")
	play, err := FindProgram()
	if err != nil {
		t.Fatal(err)
	}
	in, wait, err := play(16000)
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.Write([]byte("samples"))
	if err := errors.Join(err, in.Close()); err != nil {
		t.Error(err)
	}
	testwait.Receive(t, gone) // wait gives it little time
	if err := wait(); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Error(err)
	}
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	played, _ := os.ReadFile(filepath.Join(dir, "played"))
	if !strings.Contains(string(args), "-r 16000") || string(played) != "samples" {
		t.Errorf("%q was played with %q", played, args)
	}
}
