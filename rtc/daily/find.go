package daily

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// FindBrowser returns the path of the browser that Join starts: path, or if it is empty the
// first browser found on this system. The error is an ErrNoBrowser that says how to install
// one.
func FindBrowser(path string) (string, error) {
	if path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%w at %s: install it (apt-get install chromium), or correct --chromium PATH",
				ErrNoBrowser, path)
		}
		return found, nil
	}
	for _, name := range browserNames(runtime.GOOS) {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%w found: install it (apt-get install chromium), or name one with --chromium PATH",
		ErrNoBrowser)
}

// browserNames returns the names and paths of Chromium and of browsers based on it. Shells
// without windows come first, because they start with a third of the work.
func browserNames(system string) []string {
	switch system {
	case "darwin":
		return []string{"/Applications/Chromium.app/Contents/MacOS/Chromium",
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"}
	case "windows":
		programs := []string{`C:\Program Files (x86)`, `C:\Program Files`}
		names := []string{"chrome"}
		for _, folder := range append(programs, filepath.Join(os.Getenv("USERPROFILE"), `AppData\Local`)) {
			names = append(names, folder+`\Google\Chrome\Application\chrome.exe`, folder+`\Chromium\Application\chrome.exe`)
		}
		names = append(names, "msedge")
		for _, folder := range programs {
			names = append(names, folder+`\Microsoft\Edge\Application\msedge.exe`)
		}
		return names
	}
	return []string{
		"/usr/lib/chromium/chromium-headless-shell", // Debian's, without the script that would stay in front of it
		"headless_shell", "headless-shell", "chrome-headless-shell", "chromium", "chromium-browser",
		"google-chrome", "google-chrome-stable", "google-chrome-beta", "google-chrome-unstable",
		"/usr/local/bin/chrome", "/snap/bin/chromium", "chrome",
	}
}

// HashOf returns the hash of a file, in the form of Integrity.
func HashOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha512.New384()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return "sha384-" + base64.StdEncoding.EncodeToString(hash.Sum(nil)), nil
}
