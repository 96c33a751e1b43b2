package tavus

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// The names of 2026, and the older ones.
const (
	palsPath, personasPath  = "/v2/pals", "/v2/personas"
	facesPath, replicasPath = "/v2/faces", "/v2/replicas"
)

// Compiled when they are needed: most runs of a program do not.
var (
	oldNames = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\b(default_replica_id|replica_id|persona_id|persona_name)\b`)
	})
	newNames = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\b(default_face_id|face_id|pal_id|pal_name)\b`)
	})
	missing = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`missing|required|must (be )?(provide|specif|includ|present)|provide`)
	})
	unknown = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`unknown|unrecogni[sz]ed|unexpected|unsupported|not ` +
			`(allowed|permitted|recogni[sz]ed|supported)|extra|additional`)
	})
)

// wantsOldNames reports whether a refusal misses an old name or does not know a new
// one. Then the service did nothing.
func wantsOldNames(err error) bool {
	refused, ok := errors.AsType[*APIError](err)
	if !ok {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
	default:
		return false
	}
	text := strings.ToLower(refused.Message + " " + refused.Body)
	return oldNames().MatchString(text) && missing().MatchString(text) || newNames().MatchString(text) &&
		unknown().MatchString(text)
}

// lacksPath reports whether the service may not have the path at all.
func lacksPath(err error) bool {
	status := statusOf(err)
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// withOldNames repeats a call with the old names if the service does not know the new
// ones. If both fail because the path or id is missing, it returns the first error.
func withOldNames(err error, again func() error) error {
	if !lacksPath(err) && !wantsOldNames(err) {
		return err
	}
	if older := again(); !lacksPath(older) {
		return older
	}
	return err
}
