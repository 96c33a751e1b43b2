//go:build !linux

package cli

// useOfProcess is not known here.
func useOfProcess() processUse { return processUse{} }
