package outfile

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"echocast/internal/text"
)

// NameError reports a file name to which echocast must not write.
type NameError struct{ text string }

// Error says what is wrong with the name.
func (e *NameError) Error() string { return e.text }

func refuse(format string, args ...any) error { return &NameError{fmt.Sprintf(format, args...)} }

// CheckAll returns an error if a file cannot be written. files maps options to the files
// that they name. A *NameError reports that two options name the same file, or that an
// option names an input or something that is not a file. Empty names are skipped.
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
				return fmt.Errorf("%s %s: %w", option, name, text.WithoutPath(err))
			}
		}
	}
	return nil
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
