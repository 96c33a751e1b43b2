package tavus

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// The names since 2026, and the older names.
const (
	palsPath, personasPath  = "/v2/pals", "/v2/personas"
	facesPath, replicasPath = "/v2/faces", "/v2/replicas"
)

// These are compiled when they are first needed, since most programs do not need them.
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

// wantsOldNames reports whether the service refused a call because an old name is missing
// or a new one is unknown. In that case the call had no effect.
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

// lacksPath reports whether the service may not know the path.
func lacksPath(err error) bool {
	status := statusOf(err)
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// withOldNames repeats a call with the old names if the service does not know the new ones.
// If both calls fail because the path or id is missing, it returns the first error.
func withOldNames(err error, again func() error) error {
	if !lacksPath(err) && !wantsOldNames(err) {
		return err
	}
	if older := again(); !lacksPath(older) {
		return older
	}
	return err
}
