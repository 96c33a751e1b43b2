package converse

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// cached returns the audio of a sentence: from the cache, or from the command. It
// caches the command's audio once the command has succeeded, unless the audio is not usable.
func (v *voice) cached(text string) (io.ReadCloser, error) {
	folder := v.conversation.options.CacheDir
	sum := sha256.Sum256([]byte(v.conversation.options.TTS + "\x00" + text))
	name := filepath.Join(folder, hex.EncodeToString(sum[:])+".audio")
	if folder != "" {
		if file, err := os.Open(name); err == nil {
			return file, nil
		}
	}
	out, err := v.start(strings.NewReader(text + "\n"))
	if err != nil || folder == "" {
		return io.NopCloser(out), err
	}
	file, err := os.CreateTemp(folder, "unfinished-*")
	if err != nil {
		return nil, err
	}
	return &teeReader{from: out, file: file, name: name}, nil
}

// teeReader copies what is read to a temporary file. Close renames the file if it is complete
// and was not spoiled, and otherwise removes it.
type teeReader struct {
	from       io.Reader
	file       *os.File // nil when it is closed
	name       string
	isComplete bool
	err        error // why it is not kept
}

func (k *teeReader) Read(p []byte) (int, error) {
	n, err := k.from.Read(p)
	if k.file != nil {
		_, failed := k.file.Write(p[:n])
		k.spoil(failed)
		k.isComplete = err == io.EOF
	}
	return n, err
}

// spoil records why the file must not be kept; nil: nothing.
func (k *teeReader) spoil(err error) { k.err = errors.Join(k.err, err) }

func (k *teeReader) Close() error {
	if k.file == nil {
		return nil
	}
	temporary := k.file.Name()
	k.spoil(k.file.Close())
	k.file = nil
	if k.isComplete && k.err == nil {
		return os.Rename(temporary, k.name)
	}
	return os.Remove(temporary)
}
