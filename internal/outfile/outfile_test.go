package outfile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestCreateIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	folder := t.TempDir()
	public := filepath.Join(folder, "public")
	if err := os.WriteFile(public, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(public, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{filepath.Join(folder, "new"): 0o600, public: 0o644} {
		file, err := Create(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		_ = file.Close()
		if err != nil || info.Mode().Perm() != mode || info.Size() != 0 {
			t.Errorf("%s has mode %v and %d bytes, want %v and none", name, info.Mode(), info.Size(), mode)
		}
	}
}

func TestFileHasOneWriter(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such locks")
	}
	name := filepath.Join(t.TempDir(), "trace")
	first, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.WriteString("precious"); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(name); !errors.Is(err, ErrInUse) {
		t.Errorf("a second writer gets %v", err)
	}
	if err := Check(name); !errors.Is(err, ErrInUse) {
		t.Errorf("the check of a file in use says %v", err)
	}
	if kept, err := os.ReadFile(name); err != nil || string(kept) != "precious" {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Check(name); err != nil {
		t.Errorf("the check of a closed file says %v", err)
	}
	if kept, err := os.ReadFile(name); err != nil || string(kept) != "precious" {
		t.Errorf("the check left %q, %v", kept, err)
	}
}

func TestCheckLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	if err := Check(filepath.Join(folder, "new")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{filepath.Join(folder, "none", "x"), folder, ""} {
		if err := Check(name); err == nil {
			t.Errorf("the check of %q succeeds", name)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("the checks left %v, %v", entries, err)
	}
}

func TestCreateNumberedNeverReplaces(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "heard.wav")
	if err := os.WriteFile(filepath.Join(folder, "heard-2.wav"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"heard-3.wav", "heard-4.wav"} {
		file, err := CreateNumbered(name, 2)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		if filepath.Base(file.Name()) != want {
			t.Errorf("created %s, want %s", file.Name(), want)
		}
	}
	if kept, err := os.ReadFile(filepath.Join(folder, "heard-2.wav")); err != nil || string(kept) != "precious" {
		t.Errorf("the file that was there is now %q, %v", kept, err)
	}
	if _, err := CreateNumbered(filepath.Join(folder, "none", "x"), 2); err == nil {
		t.Error("a file was created in a folder that does not exist")
	}
}

func TestSame(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if err := os.WriteFile("there", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("there", "link"); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"x", "x", true}, {"x", "./x", true}, {"x", filepath.Join(folder, "x"), true}, {"there", "link", true},
		{"x", "y", false}, {"", "", false}, {"x", "", false}, {"there", "x", false},
	} {
		if Same(c.a, c.b) != c.same {
			t.Errorf("Same(%q, %q) is %v", c.a, c.b, !c.same)
		}
	}
}

// A name that promises a format is refused if echocast writes another one; any other is accepted.
func TestEndings(t *testing.T) {
	for name, isRefused := range map[string]bool{
		"a.wav": false, "A.WAV": false, "a": false, "tmp.Xy3": false, "talk.2026.1": false, "a.mp3": true, "a.WebM": true,
	} {
		if err := CheckEnding("--record", name, ".wav"); (err != nil) != isRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
