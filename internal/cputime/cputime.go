// Package cputime measures how much processor time this process has used.
package cputime
