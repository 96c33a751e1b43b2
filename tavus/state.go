package tavus

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// StateDir returns the folder of the journal of conversations: $ECHOCAST_STATE_DIR,
// echocast in $XDG_STATE_HOME, or the system's folder for such files.
func StateDir() (string, error) {
	if dir := os.Getenv("ECHOCAST_STATE_DIR"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // the standard ignores relative ones
		return filepath.Join(dir, "echocast"), nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		dir, err := os.UserCacheDir()
		if runtime.GOOS == "darwin" {
			dir, err = os.UserConfigDir() // Application Support; caches may be deleted
		}
		return filepath.Join(dir, "echocast"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "echocast"), err
}

// entry is one conversation in the journal, without key and token. Its file holds one JSON
// object, written when the conversation is requested. A second object with the id is added
// when the conversation exists. If a crash cuts the second write short, only the id is
// lost, and the unique name still finds the conversation.
//
// The process that requested the conversation holds a lock on a file beside it. The system
// releases the lock however the process ends.
type entry struct {
	Name    string    `json:"conversation_name,omitempty"`
	ID      string    `json:"conversation_id,omitempty"` // empty: unknown whether there is one
	BaseURL string    `json:"base_url,omitempty"`
	Key     string    `json:"key_fingerprint,omitempty"`
	Host    string    `json:"host,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Asked   time.Time `json:"asked_at,omitzero"`

	path string
}

// heldLocks keeps the lock files of this process open until it ends, by the path of their
// entry. An unreferenced file would be closed, which would release its lock.
var heldLocks sync.Map

const (
	entryPrefix = "conversation-"
	entrySuffix = ".json"
	lockSuffix  = ".lock"
)

// newEntry adds an entry to the journal for a conversation that will be requested.
func newEntry(client *Client, spec Spec) (*entry, error) {
	dir, dirErr := stateDir(spec.StateDir)
	base, baseErr := client.base()
	if err := cmp.Or(dirErr, baseErr); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, entryPrefix+spec.Name+entrySuffix)
	host, _ := os.Hostname() // an empty name is compared like any other
	e := &entry{
		Name: spec.Name, BaseURL: base, Key: client.Key.fingerprint(),
		Host: host, PID: os.Getpid(), Asked: time.Now().UTC(),
		path: path,
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	lock := flock.New(path+lockSuffix, flock.SetPermissions(0o600))
	_ = lock.Lock() // without file locks, inUse counts the entry as in use
	heldLocks.Store(path, lock)
	if err := e.write(e); err != nil {
		return nil, errors.Join(err, e.remove())
	}
	return e, nil
}

func stateDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	return StateDir()
}

func (e *entry) write(part *entry) error {
	text, err := json.Marshal(part)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(e.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	return cmp.Or(err, file.Close())
}

// complete adds the conversation's id to the entry.
func (e *entry) complete(id string) error {
	e.ID = id
	return e.write(&entry{ID: id})
}

// remove deletes the entry, if it still exists. Another process may have deleted it; that
// is no error.
func (e *entry) remove() error {
	if e == nil {
		return nil
	}
	if lock, held := heldLocks.LoadAndDelete(e.path); held {
		_ = lock.(*flock.Flock).Close()
	}
	_ = os.Remove(e.path + lockSuffix) // missing where files cannot be locked
	if err := os.Remove(e.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// entries reads the journal in dir. The error reports unreadable files. The other entries
// are still returned.
func entries(dir string) (all []*entry, err error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var failed []error
	for _, file := range files {
		if !strings.HasPrefix(file.Name(), entryPrefix) || !strings.HasSuffix(file.Name(), entrySuffix) {
			continue
		}
		path := filepath.Join(dir, file.Name())
		switch e, err := readEntry(path); {
		case err == nil:
			all = append(all, e)
		case errors.Is(err, errNeverAsked):
			removeOld(file, path)
		case !errors.Is(err, fs.ErrNotExist): // its process has just removed it
			failed = append(failed, fmt.Errorf("%s: %w", path, err))
		}
	}
	return all, errors.Join(failed...)
}

// errNeverAsked reports an empty file. Its process was killed before it requested the
// conversation, or is about to request it.
var errNeverAsked = errors.New("no conversation was asked for")

func removeOld(file fs.DirEntry, path string) {
	if info, err := file.Info(); err == nil && time.Since(info.ModTime()) > DefaultSettle {
		_ = (&entry{path: path}).remove()
	}
}

func readEntry(path string) (*entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, errNeverAsked
	}
	e := &entry{path: path}
	for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.Decode(e) == nil; {
	}
	if e.Name == "" {
		return nil, errors.New("this file does not describe a conversation; look at it and remove it")
	}
	return e, nil
}

// inUse reports whether the process that requested the conversation is still running, or
// may be running on another machine.
func (e *entry) inUse() bool {
	if host, _ := os.Hostname(); e.Host != host {
		return true
	}
	lock := flock.New(e.path+lockSuffix, flock.SetFlag(os.O_RDWR)) // does not create it
	defer lock.Close()
	free, err := lock.TryLock()
	return !free && !errors.Is(err, fs.ErrNotExist)
}
