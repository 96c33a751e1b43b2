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

	leastAudioBytes = 1 << 20 // also on a full disk
)

// maxAudio returns how many bytes of audio are stored at most: with an embedded server at most
// half of what its disk has left.
func (c *Cluster) maxAudio() int64 {
	free := int64(-1)
	if c.server != nil {
		free = freeBytes(c.options.Dir)
	}
	if free < 0 {
		return maxAudioBytes
	}
	return min(maxAudioBytes, max(free/2, leastAudioBytes))
}

// create creates the buckets and streams that are missing.
func (c *Cluster) create(ctx context.Context) (err error) {
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
		}
		if *bucket.into, err = c.js.CreateOrUpdateKeyValue(ctx, config); err != nil {
			return err
		}
	}
	common := jetstream.StreamConfig{
		MaxAge: keptFor, Replicas: c.options.Replicas, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		AllowDirect: true, // any replica can be read
	}
	events := common
	events.Name, events.Subjects, events.MaxMsgsPerSubject = eventsStream, []string{eventsSubject + "*"}, maxEventBatch
	if _, err = c.js.CreateOrUpdateStream(ctx, events); err != nil {
		return err
	}
	audio := common
	audio.Name, audio.Subjects, audio.MaxBytes = audioStream, []string{audioSubject + ">"}, c.maxAudio()
	audio.Discard = jetstream.DiscardNew
	c.audio, err = c.js.CreateOrUpdateStream(ctx, audio)
	return err
}
