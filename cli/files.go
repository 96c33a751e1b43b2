package cli

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"echocast/internal/outfile"
)

// checkOutputs refuses files that cannot be written, by the options that name
// them, before anything is spoken: two options for one file, a file that is an
// input, and one that cannot be opened. Empty names are not written.
func checkOutputs(files map[string]string, inputs []string) error {
	flags := slices.Sorted(maps.Keys(files))
	for i, flag := range flags {
		name := files[flag]
		if err := checkWritten(flag, name, inputs); err != nil {
			return err
		}
		for _, other := range flags[:i] {
			if outfile.Same(name, files[other]) {
				return usagef("%s %s and %s %s are one file: name two", other, files[other], flag, name)
			}
		}
	}
	for _, flag := range flags {
		if name := files[flag]; name != "" {
			if err := outfile.Check(name); err != nil {
				return fmt.Errorf("%s %s: %w", flag, name, plain(err))
			}
		}
	}
	return nil
}

// checkWritten refuses to write a file over an input, and what is no file.
func checkWritten(flag, file string, inputs []string) error {
	target, err := os.Stat(file)
	if file == "" || err != nil {
		return nil // it will be made, or making it says why not
	}
	if !target.Mode().IsRegular() {
		return usagef("%s %s: it is written as a file, and this is none", flag, file)
	}
	for _, name := range inputs {
		if input, err := os.Stat(name); err == nil && os.SameFile(target, input) {
			return usagef("%s %s would overwrite the input %s", flag, file, name)
		}
	}
	return nil
}
