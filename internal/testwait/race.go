//go:build race

package testwait

const hasRaceDetector = true
