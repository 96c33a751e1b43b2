package opener

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// fake puts a script in the place of the desktop's program.
func fake(t *testing.T, script string) (dir string) {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the desktop's program is another one here")
	}
	dir = t.TempDir()
	testenv.WriteScript(t, dir, "xdg-open", script)
	t.Setenv("PATH", dir)
	return dir
}

func TestOpen(t *testing.T) {
	dir := fake(t, `printf %s "$1" > "${0%/*}/opened"`)
	if err := open(t.Context(), "a b.html", testwait.Limit); err != nil {
		t.Fatal(err)
	}
	if opened, err := os.ReadFile(filepath.Join(dir, "opened")); err != nil || string(opened) != "a b.html" {
		t.Errorf("%q, %v", opened, err)
	}
}

func TestOpenFails(t *testing.T) {
	fake(t, "exit 3")
	err := open(t.Context(), "a.html", testwait.Limit)
	if err == nil || !strings.Contains(err.Error(), "xdg-open: exit status 3") {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := open(t.Context(), "a.html", testwait.Limit); err == nil || !strings.Contains(err.Error(), "xdg-open") {
		t.Error(err)
	}
}

func TestCommand(t *testing.T) {
	for goos, want := range map[string][]string{
		"linux": {"xdg-open", "x"}, "freebsd": {"xdg-open", "x"}, "darwin": {"open", "x"},
		"windows": {"rundll32", "url.dll,FileProtocolHandler", "x"},
	} {
		if got := Command(goos, "x"); !slices.Equal(got, want) {
			t.Errorf("%s: %q", goos, got)
		}
	}
}
