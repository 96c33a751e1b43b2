package cli

import (
	"errors"
	"os"

	"echocast/replica"
)

// faultError says which option a refused fault was given with.
func faultError(err error) error {
	if _, ok := errors.AsType[*replica.UnknownFaultError](err); ok {
		return usagef("%v; --fault list lists them", err)
	}
	if err != nil {
		return usagef("--fault %v", err)
	}
	return nil
}

// exitKilled is the code of a process that was killed, which dying looks like.
const exitKilled = 137

// readScript reads the events of a file.
func readScript(name string) (replica.Script, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, inputError("--script "+name, err)
	}
	defer file.Close()
	script, err := replica.ParseScript(file)
	if err != nil {
		return nil, inputError("--script "+name, err)
	}
	return script, nil
}
