package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"echocast/internal/option"
	"echocast/internal/text"
)

// File is the settings file. The zero File has no lines.
type File struct {
	Path     string
	Profiles []string // in the order of the file
	lines    []setting
	isThere  bool
	isPublic bool // other users of this machine can read it
}

// setting is a setting of the file.
type setting struct {
	profile, name, value string
	number               int
}

// PathVariable is the environment variable with the path of the settings file. It replaces
// DefaultPath.
const PathVariable = "ECHOCAST_CONFIG"

// DefaultPath returns the path echocast/config in XDG_CONFIG_HOME or, if that is not set,
// in the system's folder for configuration: ~/.config, or %AppData% on Windows. It returns
// "" if there is no such folder.
func DefaultPath(getenv func(string) string) string {
	if folder := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(folder) { // the standard ignores relative ones
		return filepath.Join(folder, "echocast", "config")
	}
	if runtime.GOOS == "windows" {
		folder, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		return filepath.Join(folder, "echocast", "config")
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, ".config", "echocast", "config")
}

// maxSize is the maximum size of the file in bytes.
const maxSize = 1 << 20

// Load reads the file that PathVariable names, or the file at DefaultPath, which need not
// exist. It refuses a file that other users of this machine can write, because a setting
// may be a command. An error names the file and, if a line is wrong, the line.
func Load(getenv func(string) string) (*File, error) {
	path, isNamed := getenv(PathVariable), true
	if path == "" {
		path, isNamed = DefaultPath(getenv), false
	}
	file := &File{Path: path}
	if path == "" {
		return file, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !isNamed {
		return file, nil
	}
	if err != nil {
		return nil, option.Errorf("%s: %v", path, text.WithoutPath(err))
	}
	defer f.Close()
	file.isThere = true
	if err := file.checkMode(f); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(content) > maxSize {
		err = option.Errorf("the file has more than %d bytes", maxSize)
	}
	if err != nil {
		return nil, option.Errorf("%s: %v", path, text.WithoutPath(err))
	}
	return file, file.parse(string(content))
}

func (f *File) checkMode(file *os.File) error {
	info, err := file.Stat()
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return option.Errorf("%s: other users can write it, and it may name commands: run chmod 600 on it", f.Path)
	}
	f.isPublic = info.Mode().Perm()&0o044 != 0
	return nil
}

func (f *File) parse(text string) error {
	profile := ""
	for i, written := range strings.Split(text, "\n") {
		written = strings.TrimSpace(written)
		switch {
		case written == "" || written[0] == '#' || written[0] == ';':
			continue
		case written[0] == '[':
			name, closed := strings.CutSuffix(withoutComment(written[1:]), "]")
			if profile = strings.TrimSpace(name); !closed || profile == "" {
				return f.fault(i+1, "a heading is the name of a profile in brackets, such as [work]")
			}
			if !slices.Contains(f.Profiles, profile) {
				f.Profiles = append(f.Profiles, profile)
			}
			continue
		}
		name, value, found := strings.Cut(written, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			return f.fault(i+1, "a setting is written NAME = VALUE, such as lead = 500ms")
		}
		f.lines = append(f.lines, setting{profile, strings.TrimPrefix(name, "--"), unquoted(withoutComment(value)), i + 1})
	}
	return nil
}

// withoutComment removes a comment that follows a value and a space.
func withoutComment(value string) string {
	value = strings.TrimSpace(value)
	if quote := quoteOf(value); quote != "" {
		inside, behind, closed := strings.Cut(value[1:], quote)
		if behind = strings.TrimSpace(behind); closed && (behind == "" || behind[0] == '#') {
			return quote + inside + quote
		}
	}
	if i := strings.IndexByte(value, '#'); i == 0 || i > 0 && (value[i-1] == ' ' || value[i-1] == '\t') {
		return strings.TrimSpace(value[:i])
	}
	return value
}

func quoteOf(value string) string {
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		return value[:1]
	}
	return ""
}

// unquoted removes a pair of quotes. There are no escapes inside.
func unquoted(value string) string {
	if quote := quoteOf(value); quote != "" && len(value) > 1 && strings.HasSuffix(value, quote) {
		return value[1 : len(value)-1]
	}
	return value
}

// fault returns an error about a line.
func (f *File) fault(number int, format string, args ...any) error {
	return option.Errorf("%s:%d: %s", f.Path, number, fmt.Sprintf(format, args...))
}

// location returns the file and line of a setting.
func (f *File) location(l setting) string {
	if l.profile == "" {
		return fmt.Sprintf("%s:%d", f.Path, l.number)
	}
	return fmt.Sprintf("%s:%d [%s]", f.Path, l.number, l.profile)
}
