package cluster

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Names in NATS. When the format changes, the version in all of them changes.
const (
	leasesBucket        = "echocast-v1-leases"
	conversationsBucket = "echocast-v1-conversations"
	progressBucket      = "echocast-v1-progress"
	eventsStream        = "echocast-v1-events"
	audioStream         = "echocast-v1-audio"

	eventsSubject = "echocast.v1.events."
	audioSubject  = "echocast.v1.audio."
	placeSubject  = "echocast.v1.place"
)

// Limits on what is stored.
const (
	keptFor       = 72 * time.Hour
	maxEventBatch = 1000      // of a conversation
	maxAudioBytes = 4 << 30   // of all conversations together
	markerTTL     = time.Hour // of the marker that a record was removed

	leastBytes = 1 << 20 // of a stream that has a limit
)

// What streams may hold besides audio, if the account wants a limit of each.
const (
	maxBucketBytes = 64 << 20
	maxEventBytes  = 256 << 20
	noLimit        = -1
)

// create creates the buckets and streams that are missing, and updates the others.
func (c *Cluster) create(ctx context.Context) error {
	err := c.createWith(ctx, noLimit, noLimit)
	if hasCode(err, limitsRequired) {
		err = c.createWith(ctx, maxBucketBytes, maxEventBytes)
	}
	return err
}

// createWith is create with so many bytes for each bucket and for the events.
func (c *Cluster) createWith(ctx context.Context, bucketBytes, eventBytes int64) (err error) {
	for _, bucket := range []struct {
		name string
		into *jetstream.KeyValue
		age  time.Duration
	}{
		{leasesBucket, &c.leases, 0}, {conversationsBucket, &c.conversations, keptFor},
		{progressBucket, &c.progress, keptFor},
	} {
		*bucket.into, err = fit(bucketBytes, func(size int64) (jetstream.KeyValue, error) {
			return c.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: bucket.name, History: 1, TTL: bucket.age, Replicas: c.options.Replicas,
				LimitMarkerTTL: markerTTL, MaxBytes: size,
			})
		}, func() (jetstream.KeyValue, error) { return c.js.KeyValue(ctx, bucket.name) })
		if err != nil {
			return err
		}
	}
	common := jetstream.StreamConfig{
		MaxAge: keptFor, Replicas: c.options.Replicas, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		AllowDirect: true, // any replica can be read
	}
	events := common
	events.Name, events.Subjects, events.MaxMsgsPerSubject = eventsStream, []string{eventsSubject + "*"}, maxEventBatch
	if _, err = c.createStream(ctx, events, eventBytes); err != nil {
		return err
	}
	audio := common
	audio.Name, audio.Subjects, audio.Discard = audioStream, []string{audioSubject + ">"}, jetstream.DiscardNew
	c.audio, err = c.createStream(ctx, audio, c.audioLimit(ctx))
	return err
}

// createStream creates or updates a stream of size bytes, or as many as NATS has room for.
func (c *Cluster) createStream(ctx context.Context, config jetstream.StreamConfig, size int64) (jetstream.Stream, error) {
	return fit(size, func(size int64) (jetstream.Stream, error) {
		config.MaxBytes = size
		return c.js.CreateOrUpdateStream(ctx, config)
	}, func() (jetstream.Stream, error) { return c.js.Stream(ctx, config.Name) })
}

// fit returns a stream or a bucket of size bytes, or of a half, a quarter and so on, if NATS has
// no room for it: put creates or updates it. If it exists and NATS refuses to update it, it
// remains as it is: get returns it.
func fit[T any](size int64, put func(size int64) (T, error), get func() (T, error)) (T, error) {
	made, err := put(size)
	if !hasNoRoom(err) {
		return made, err
	}
	if existing, err := get(); err == nil {
		return existing, nil
	}
	for hasNoRoom(err) && size > leastBytes {
		size /= 2
		made, err = put(size)
	}
	return made, err
}

// audioLimit returns how many bytes of audio are stored at most.
func (c *Cluster) audioLimit(ctx context.Context) int64 {
	if c.server == nil {
		return maxAudioBytes
	}
	stored := int64(0)
	if existing, err := c.js.Stream(ctx, audioStream); err == nil {
		stored = int64(existing.CachedInfo().State.Bytes) //nolint:gosec // a disk has fewer than 2^63 bytes
	}
	return maxAudio(freeBytes(c.options.Dir), stored)
}

// maxAudio returns how many bytes of audio an embedded server stores at most: what is stored, and
// half of what is free on its disk (-1: unknown).
func maxAudio(free, stored int64) int64 {
	if free < 0 {
		return maxAudioBytes
	}
	return min(maxAudioBytes, max(stored+free/2, leastBytes))
}
