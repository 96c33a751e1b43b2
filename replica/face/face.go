// Package face draws the face of a stand-in replica. From some milliseconds of sound it
// computes the shape of the mouth, and draws the face with it. The face is a drawing in
// SVG. A browser shows the SVG itself. For video, Drawing draws its shapes.
package face

import (
	_ "embed"
	"fmt"
	"math"
)

// SVG is the drawing, with a closed mouth and open eyes. The groups eyes and mouth
// move. Its paths have filled areas of straight lines and curves in absolute
// coordinates, and nothing else: see Drawing.
//
//go:embed face.svg
var SVG string

// Pose is the state of the face at one moment.
type Pose struct {
	Open   float64 // how far the mouth is open, from 0 to 1
	Wide   float64 // how wide it is, from -1, rounded, to 1, spread
	Blinks bool    // the eyes are closed
}

// widths holds the width of the mouth for each viseme, as in Pose.Wide.
var widths = map[Viseme]float64{VisemeWide: 1, VisemeRound: -1, VisemeTeeth: 0.6}

// blinkTime is the length of a blink, and blinkEvery the time from one to the next, in
// seconds.
const (
	blinkTime  = 0.13
	blinkEvery = 3.7
)

// Animator moves a face from pose to pose. The zero value has a closed mouth.
type Animator struct {
	pose Pose
	at   float64 // seconds
}

// Next returns the pose at a time in seconds after the last one, for a mouth that moves to
// m.
func (a *Animator) Next(m Mouth, seconds float64) Pose {
	a.at += seconds
	a.pose.Open += (m.Open - a.pose.Open) * share(0.027, seconds)
	a.pose.Wide += (widths[m.Viseme] - a.pose.Wide) * share(0.05, seconds)
	if a.pose.Open < 0.005 {
		a.pose.Open = 0
	}
	a.pose.Blinks = math.Mod(a.at+1, blinkEvery) < blinkTime
	return a.pose
}

// share returns the fraction of a movement that is complete after some seconds, given its
// time constant.
func share(constant, seconds float64) float64 { return 1 - math.Exp(-seconds/constant) }

// mouthAt is the vertical position of the corners of the mouth.
const mouthAt = 144

// mouth returns the paths of the mouth's parts for a pose, by their id. page.js has
// the same shapes.
func (p Pose) mouth() map[string]string {
	half := 21 + 5*p.Wide - 3*p.Open
	inner := half - 4 + p.Open
	up, down := 3-11*p.Open, 4.5+26*p.Open
	paths := map[string]string{
		"lips":   lens(half, -7-9*p.Open, 12+27*p.Open),
		"inside": lens(inner, up, down),
	}
	if p.Open > 0.15 {
		paths["teeth"] = slice(inner, up, up+9*min(1, p.Open+0.3+0.3*p.Wide))
		paths["tongue"] = slice(inner, down-12*p.Open, down-1)
	}
	return paths
}

// lens returns the area between two curves from corner to corner of the mouth. up and down
// are how far their control points are above and below the corners.
func lens(half, up, down float64) string {
	return fmt.Sprintf("M%.2f %dQ100 %.2f %.2f %dQ100 %.2f %.2f %dZ", 100-half, mouthAt, mouthAt+up, 100+half,
		mouthAt, mouthAt+down, 100-half, mouthAt)
}

// slice returns the middle part of a lens.
func slice(half, up, down float64) string {
	left, right := 100-0.6*half, 100+0.6*half
	return fmt.Sprintf("M%.2f %.2fQ100 %.2f %.2f %.2fL%.2f %.2fQ100 %.2f %.2f %.2fZ", left, mouthAt+0.32*up,
		mouthAt+0.68*up, right, mouthAt+0.32*up,
		right, mouthAt+0.32*down, mouthAt+0.68*down, left, mouthAt+0.32*down)
}
