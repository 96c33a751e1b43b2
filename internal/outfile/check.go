package outfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"echocast/internal/text"
)

// NameError reports a file name to which echocast must not write.
type NameError struct{ text string }

// Error says what is wrong with the name.
func (e *NameError) Error() string { return e.text }

func refuse(format string, args ...any) error { return &NameError{fmt.Sprintf(format, args...)} }

// CheckAll returns a *NameError if a file cannot be written, if two options name the same
// file, or if an option names an input or something that is not a file. files maps options
// to the files that they name. Empty names are skipped.
func CheckAll(files map[string]string, inputs []string) error {
	options := slices.Sorted(maps.Keys(files))
	for i, option := range options {
		name := files[option]
		if err := checkName(option, name, inputs); err != nil {
			return err
		}
		for _, other := range options[:i] {
			if Same(name, files[other]) {
				return refuse("%s %s and %s %s are one file: name two", other, files[other], option, name)
			}
		}
	}
	for _, option := range options {
		if name := files[option]; name != "" {
			if err := Check(name); err != nil {
				return refuse("%s %s: %v", option, name, explain(name, err))
			}
		}
	}
	return nil
}

// explain returns why a file cannot be written.
func explain(name string, err error) error {
	if folder := filepath.Dir(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s; make it first", folder)
	}
	return text.WithoutPath(err)
}

// formats are the endings that promise a format of sound, of film or of a picture.
var formats = []string{".aac", ".aif", ".aiff", ".au", ".avi", ".flac", ".gif", ".jpeg", ".jpg", ".m4a", ".mka", ".mkv",
	".mov", ".mp3", ".mp4", ".mulaw", ".oga", ".ogg", ".opus", ".pcm", ".pdf", ".png", ".raw", ".s16le", ".svg", ".wav",
	".webm", ".webp", ".wma"}

// CheckEnding returns a *NameError if the ending of a file promises a format, and is not one of
// these, so that a file does not claim to be in a format that echocast does not write. Other
// names, such as those of mktemp, are accepted.
func CheckEnding(option, file string, endings ...string) error {
	ending := strings.ToLower(filepath.Ext(file))
	if !slices.Contains(formats, ending) || slices.Contains(endings, ending) {
		return nil
	}
	return refuse("%s %s: the name must end with %s", option, file, strings.Join(endings, " or "))
}

// checkName refuses names of inputs, and names that are not files.
func checkName(option, file string, inputs []string) error {
	if file == "-" { // other options use it for standard output
		return refuse("%s -: it is not written to standard output; name a file", option)
	}
	target, err := os.Stat(file)
	if file == "" || err != nil {
		return nil // it will be created, or creating it fails
	}
	if !target.Mode().IsRegular() {
		return refuse("%s %s: it is written as a file, and this is none", option, file)
	}
	for _, name := range inputs {
		if input, err := os.Stat(name); err == nil && os.SameFile(target, input) {
			return refuse("%s %s would overwrite the input %s", option, file, name)
		}
	}
	return nil
}
