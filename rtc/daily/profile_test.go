package daily

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"

	"echocast/internal/child"
	"echocast/rtc/daily/dailytest"
)

// profiles are the folders of browsers in a folder.
func profiles(t *testing.T, temporary string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(temporary, profilePrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, lockSuffix) })
}

// If this variable is set, the test binary makes a profile there, says so and waits.
const profileEnv = "ECHOCAST_TEST_PROFILE"

// keepProfile is that process, until it is killed.
func keepProfile(temporary string) {
	if _, err := newProfile(temporary); err == nil {
		_, _ = os.Stdout.WriteString("made\n")
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// Profiles of killed processes are removed at the next start, those of living ones are not.
func TestStaleProfilesAreRemoved(t *testing.T) {
	temporary := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), profileEnv+"="+temporary)
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	theirs := profiles(t, temporary)
	ours, err := newProfile(temporary)
	if err != nil {
		t.Fatal(err)
	}
	if got := profiles(t, temporary); len(theirs) != 1 || len(got) != 2 {
		t.Errorf("while both live there are %v", got)
	}
	_ = command.Process.Kill()
	_ = command.Wait()
	removeStaleProfiles(temporary)
	if got := profiles(t, temporary); len(got) != 1 || got[0] != ours.folder {
		t.Errorf("after one was killed there are %v, want %s", got, ours.folder)
	}
	ours.remove()
	if left, _ := os.ReadDir(temporary); len(left) != 0 {
		t.Errorf("in the end there is %v", left)
	}
}

// The browser uses the profile folder that we name, and it is removed.
func TestProfileIsRemoved(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	conn := mustJoin(t, newRoom(t, dailytest.Options{}), Options{})
	all := profiles(t, temporary)
	if len(all) != 1 {
		t.Fatalf("the browser has the profiles %v", all)
	}
	if inside, _ := os.ReadDir(all[0]); len(inside) == 0 {
		t.Error("its profile is elsewhere")
	}
	if locked, _ := flock.New(all[0] + lockSuffix).TryLock(); locked {
		t.Error("its profile is not locked")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if all := profiles(t, temporary); len(all) != 0 {
		t.Errorf("after the end there is %v", all)
	}
}

// The browser shows pages of others, so it gets no variable that it does not need.
func TestBrowserEnvironmentHasNoSecrets(t *testing.T) {
	for _, name := range []string{"TAVUS_API_KEY", "AWS_SESSION", "MY_PASSPHRASE", "ECHOCAST_ROOM_KEY"} {
		t.Setenv(name, "canary")
	}
	if got := strings.Join(child.MinimalEnviron(), "\n"); strings.Contains(got, "canary") {
		t.Errorf("its environment is %s", got)
	}
}
