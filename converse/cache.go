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
// caches the command's audio once the command has succeeded.
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

// teeReader copies what is read to a temporary file, which is renamed when it is
// complete.
type teeReader struct {
	from io.Reader
	file *os.File // nil when it is closed
	name string
	err  error // of writing
}

func (k *teeReader) Read(p []byte) (int, error) {
	n, err := k.from.Read(p)
	if k.file == nil {
		return n, err
	}
	_, failed := k.file.Write(p[:n])
	k.err = errors.Join(k.err, failed)
	if err == io.EOF && k.err == nil {
		temporary := k.file.Name()
		k.err = errors.Join(k.file.Close(), os.Rename(temporary, k.name))
		k.file = nil
	}
	return n, err
}

// Close removes an incomplete file.
func (k *teeReader) Close() error {
	if k.file == nil {
		return nil
	}
	temporary := k.file.Name()
	err := errors.Join(k.file.Close(), os.Remove(temporary))
	k.file = nil
	return err
}
