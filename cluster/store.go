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
	leastBytes    = 1 << 20   // of a stream that has a limit

	// If the account wants a limit of each stream.
	maxBucketBytes = 64 << 20
	maxEventBytes  = 256 << 20
)

// sizes are how many bytes streams may hold.
type sizes struct{ bucket, events, audio int64 }

// half returns the half of each size that is a limit.
func (s sizes) half() sizes {
	half := func(size int64) int64 {
		if size < 0 {
			return size
		}
		return max(size/2, leastBytes)
	}
	return sizes{half(s.bucket), half(s.events), half(s.audio)}
}

// create creates the buckets and streams that are missing, and updates the others: as large as
// NATS has room for.
func (c *Cluster) create(ctx context.Context) error {
	with := sizes{-1, -1, c.audioLimit(ctx)}
	for {
		err := c.tryCreate(ctx, with)
		switch {
		case hasCode(err, limitsRequired) && with.bucket < 0:
			with.bucket, with.events = maxBucketBytes, maxEventBytes
		case hasNoRoom(err) && with.audio > leastBytes:
			with = with.half()
		default:
			return err
		}
	}
}

func (c *Cluster) tryCreate(ctx context.Context, with sizes) (err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	for _, bucket := range []struct {
		name string
		into *jetstream.KeyValue
		age  time.Duration
	}{
		{leasesBucket, &c.leases, 0}, {conversationsBucket, &c.conversations, keptFor},
		{progressBucket, &c.progress, keptFor},
	} {
		config := jetstream.KeyValueConfig{
			Bucket: bucket.name, History: 1, TTL: bucket.age, Replicas: c.options.Replicas, LimitMarkerTTL: markerTTL,
			MaxBytes: with.bucket,
		}
		if *bucket.into, err = c.createBucket(ctx, config); err != nil {
			return err
		}
	}
	common := jetstream.StreamConfig{
		MaxAge: keptFor, Replicas: c.options.Replicas, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		AllowDirect: true, // any replica can be read
	}
	events := common
	events.Name, events.Subjects, events.MaxMsgsPerSubject = eventsStream, []string{eventsSubject + "*"}, maxEventBatch
	events.MaxBytes = with.events
	if _, err = c.createStream(ctx, events); err != nil {
		return err
	}
	audio := common
	audio.Name, audio.Subjects, audio.MaxBytes = audioStream, []string{audioSubject + ">"}, with.audio
	audio.Discard = jetstream.DiscardNew
	c.audio, err = c.createStream(ctx, audio)
	return err
}

// createBucket creates a bucket. One that NATS has no room to update remains as it is.
func (c *Cluster) createBucket(ctx context.Context, o jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	bucket, err := c.js.CreateOrUpdateKeyValue(ctx, o)
	if !hasNoRoom(err) {
		return bucket, err
	}
	if existing, err := c.js.KeyValue(ctx, o.Bucket); err == nil {
		return existing, nil
	}
	return nil, err
}

// createStream does for a stream what createBucket does for a bucket.
func (c *Cluster) createStream(ctx context.Context, o jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := c.js.CreateOrUpdateStream(ctx, o)
	if !hasNoRoom(err) {
		return stream, err
	}
	if existing, err := c.js.Stream(ctx, o.Name); err == nil {
		return existing, nil
	}
	return nil, err
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
