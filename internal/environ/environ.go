// Package environ is the environment that programs get which echocast runs.
package environ

import (
	"os"
	"slices"
	"strings"
)

// secretWords are parts of the names of variables with secrets.
var secretWords = []string{"KEY", "TOKEN", "SECRET", "CREDENTIAL", "PASSWORD"}

// WithoutSecrets is the environment of this process without the variables
// whose names say that they hold a secret, such as TAVUS_API_KEY. A browser or a
// decoder has no use for them.
func WithoutSecrets() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		name = strings.ToUpper(name)
		return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) })
	})
}
