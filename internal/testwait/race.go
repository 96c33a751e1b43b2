//go:build race

package testwait

// HasRaceDetector says that the race detector makes each step some ten times as long.
const HasRaceDetector = true
