package option

import (
	"errors"
	"os"
	"strings"

	"echocast/internal/redact"
	"echocast/internal/secretfile"
	"echocast/internal/text"
)

// Secret returns the contents of the file that a flag names or, if file is empty, of an
// environment variable. From then on, output hides the secret. Secret warns if other users
// can read the file.
func Secret(flag, file, variable string, warn func(format string, args ...any)) (string, error) {
	if file == "" {
		value := os.Getenv(variable)
		redact.Known.Add(value)
		return value, nil
	}
	contents, isPublic, err := secretfile.Read(file)
	redact.Known.Add(contents)
	if isPublic {
		WarnPublic(warn, file)
	}
	if contents = strings.TrimSpace(contents); err == nil && contents == "" {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return "", Errorf("%s %s: %v", flag, file, text.WithoutPath(err))
	}
	return contents, nil
}

// WarnPublic warns if other users can read a file with a secret.
func WarnPublic(warn func(format string, args ...any), file string) {
	warn("every user of this machine can read %s: run chmod 600 on it", file)
}
