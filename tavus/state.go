package tavus

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// StateDir is where the conversations that may cost money are remembered:
// $ECHOCAST_STATE_DIR, or echocast in $XDG_STATE_HOME, or the system's own place
// for such files.
func StateDir() (string, error) {
	if dir := os.Getenv("ECHOCAST_STATE_DIR"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // others are to be ignored
		return filepath.Join(dir, "echocast"), nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		dir, err := os.UserCacheDir()
		if runtime.GOOS == "darwin" {
			dir, err = os.UserConfigDir() // Application Support: caches are cleared
		}
		return filepath.Join(dir, "echocast"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "echocast"), err
}

// entry is what is remembered of a conversation. It holds no key and no token.
type entry struct {
	Name    string    `json:"conversation_name"`
	ID      string    `json:"conversation_id,omitempty"` // empty: it is not known whether there is one
	BaseURL string    `json:"base_url"`
	Key     string    `json:"key_fingerprint"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Started string    `json:"process_started"` // tells a process from a later one with its number
	Asked   time.Time `json:"asked_at"`

	path string
}

const (
	entryPrefix = "conversation-"
	entrySuffix = ".json"
	newSuffix   = ".new" // of a file that is being written
	longestFile = 64 << 10
)

// newEntry remembers a conversation that is going to be asked for.
func newEntry(client *Client, spec Spec) (*entry, error) {
	dir, err := stateDir(spec.StateDir)
	if err != nil {
		return nil, err
	}
	base, err := client.base()
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()                // empty is a host like another
	started, _ := processStart(os.Getpid()) // empty: never taken for running
	e := &entry{
		Name: spec.Name, BaseURL: base, Key: client.Key.fingerprint(),
		Host: host, PID: os.Getpid(), Started: started, Asked: time.Now().UTC(),
		path: filepath.Join(dir, entryPrefix+spec.Name+entrySuffix),
	}
	return e, e.save()
}

func stateDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	return StateDir()
}

// save writes the entry so that there is always an old or a new one, also after
// the power went.
func (e *entry) save() error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(e.path), 0o700); err != nil {
		return err
	}
	if err := writeSynced(e.path+newSuffix, append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(e.path+newSuffix, e.path); err != nil {
		return err
	}
	syncDir(filepath.Dir(e.path))
	return nil
}

func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return cmp.Or(err, file.Sync(), file.Close())
}

// syncDir makes a rename last. Not every system can do it.
func syncDir(path string) {
	if dir, err := os.Open(path); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

// complete adds the id.
func (e *entry) complete(id string) error {
	e.ID = id
	return e.save()
}

// forget removes the entry. That it is gone already is no error.
func (e *entry) forget() error {
	if err := os.Remove(e.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// entries are what is remembered in dir; a file that cannot be read is an error
// beside the others.
func entries(dir string) (all []*entry, err error) {
	names, err := filepath.Glob(filepath.Join(globbed(dir), entryPrefix+"*"+entrySuffix))
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, name := range names {
		e, err := readEntry(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner has just ended
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		all = append(all, e)
	}
	return all, errors.Join(failed...)
}

// globbed is a path that means itself in a pattern.
func globbed(path string) string {
	if runtime.GOOS == "windows" {
		return path // has no escapes, and [ is rare
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func readEntry(path string) (*entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, longestFile))
	if err != nil {
		return nil, err
	}
	e := &entry{path: path}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(e); err != nil || e.Name == "" {
		return nil, errors.New("it does not describe a conversation; look at it and remove it")
	}
	return e, nil
}

// sweep removes what was being written when its process died. A conversation is
// asked for after its file has its name, so there is nothing in these.
func sweep(dir string, before time.Time) {
	names, _ := filepath.Glob(filepath.Join(globbed(dir), entryPrefix+"*"+entrySuffix+newSuffix))
	for _, name := range names {
		if info, err := os.Lstat(name); err == nil && info.ModTime().Before(before) {
			_ = os.Remove(name)
		}
	}
}

// inUse reports whether the process that asked for the conversation still runs,
// or runs where that cannot be known.
func (e *entry) inUse() bool {
	if host, _ := os.Hostname(); e.Host != host {
		return true
	}
	started, err := processStart(e.PID)
	switch {
	case errors.Is(err, errNoProcess):
		return false
	case err != nil:
		return true
	}
	return started == e.Started
}

var errNoProcess = errors.New("there is no such process")
