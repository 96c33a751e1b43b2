package cli

import (
	"errors"

	"echocast/internal/outfile"
)

// checkOutputs refuses files that cannot be written, by the options that name
// them, before anything is spoken.
func checkOutputs(files map[string]string, inputs []string) error {
	err := outfile.CheckAll(files, inputs)
	if _, ok := errors.AsType[*outfile.NameError](err); ok {
		return usagef("%v", err)
	}
	return err
}
