package core_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/rtc/daily/core"
)

func TestFind(t *testing.T) {
	sdk := t.TempDir()
	t.Setenv("LD_LIBRARY_PATH", "")
	t.Setenv("HOME", sdk)
	if path, err := core.Find(""); !errors.Is(err, core.ErrNotFound) {
		t.Skipf("there is one here: %s, %v", path, err)
	}
	if _, err := core.Find(sdk); err == nil || !strings.Contains(err.Error(), "there is no "+core.FileName()) {
		t.Error(err)
	}
	if _, err := core.Find(filepath.Join(sdk, "absent")); err == nil ||
		!strings.Contains(err.Error(), "no such file or folder") {
		t.Error(err)
	}
	file := filepath.Join(sdk, "lib", core.FileName())
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{sdk, filepath.Dir(file), file} {
		if path, err := core.Find(named); err != nil || path != file {
			t.Errorf("%s: %s, %v", named, path, err)
		}
	}
	t.Setenv("LD_LIBRARY_PATH", filepath.Dir(file))
	if path, err := core.Find(""); err != nil || path != file {
		t.Errorf("%s, %v", path, err)
	}
}
