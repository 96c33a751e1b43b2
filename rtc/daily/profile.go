package daily

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// The names of the folders of browsers, and of the locks beside them.
const (
	profilePrefix = "echocast-chromium-"
	lockSuffix    = ".lock"
)

// removeTimeout is how long processes of a browser that has ended may still write to
// its profile.
const removeTimeout = 5 * time.Second

// profile is the folder with the data of one browser. The process that created it holds a
// lock on a file beside it. The system frees that lock when the process ends or is killed.
type profile struct {
	folder string
	lock   *flock.Flock
}

// newProfile creates a profile in a folder for temporary files. It first removes the
// profiles that killed processes left there.
func newProfile(temporary string) (*profile, error) {
	removeStaleProfiles(temporary)
	folder := filepath.Join(temporary, profilePrefix+rand.Text())
	p := &profile{folder, flock.New(folder+lockSuffix, flock.SetPermissions(0o600))}
	_, err := p.lock.TryLock() // where files cannot be locked, no profile is stale
	if err == nil {
		err = os.Mkdir(folder, 0o700)
	}
	if err != nil {
		p.remove()
		return nil, fmt.Errorf("no folder for the browser: %v", err)
	}
	return p, nil
}

// remove removes the profile. The next start tries again if it fails.
func (p *profile) remove() {
	removed := removeFolder(p.folder)
	_ = p.lock.Close()
	if removed == nil {
		_ = os.Remove(p.folder + lockSuffix)
	}
}

// removeFolder removes a folder to which processes may still write.
func removeFolder(folder string) error {
	for end := time.Now().Add(removeTimeout); ; time.Sleep(20 * time.Millisecond) {
		if err := os.RemoveAll(folder); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// removeStaleProfiles removes the profiles of processes that have ended.
func removeStaleProfiles(temporary string) {
	locks, _ := filepath.Glob(filepath.Join(temporary, profilePrefix+"*"+lockSuffix)) // the pattern is right
	for _, path := range locks {
		lock := flock.New(path, flock.SetFlag(os.O_RDWR)) // does not create the file
		if locked, err := lock.TryLock(); err == nil && locked && os.RemoveAll(strings.TrimSuffix(path, lockSuffix)) == nil {
			_ = os.Remove(path)
		}
		_ = lock.Close()
	}
}
