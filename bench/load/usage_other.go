//go:build !linux

package load

// usage is not known here.
func usage() processUsage { return processUsage{} }
