package echo

import (
	"fmt"
	"time"
)

// TranscriptEntry is one thing said in a conversation that is over.
type TranscriptEntry struct {
	Role        string        // user, assistant, system or tool
	Text        string        //
	Time        time.Time     // when it began; zero where missing
	Start       time.Duration // from the start of the conversation; negative where missing
	Duration    time.Duration // negative where missing
	InferenceID string        // of the replica's only
}

// Recording is where the recording of a conversation is stored, or why it is not.
type Recording struct {
	ID           string `json:"id,omitempty"`
	Bucket       string `json:"bucket,omitempty"`
	Key          string `json:"key,omitempty"`      // in the bucket
	Provider     string `json:"provider,omitempty"` // of the storage
	URI          string `json:"uri,omitempty"`
	ErrorCode    string `json:"error_code,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
}

// transcriptEntry is a TranscriptEntry on the wire.
type transcriptEntry struct {
	Role        string   `json:"role"`
	Content     string   `json:"content"`
	Timestamp   float64  `json:"timestamp"` // Unix seconds
	Start       *float64 `json:"seconds_from_start"`
	Duration    *float64 `json:"duration"` // seconds
	InferenceID string   `json:"inference_id"`
}

func transcript(wire []transcriptEntry) []TranscriptEntry {
	entries := make([]TranscriptEntry, len(wire))
	for i, w := range wire {
		entries[i] = TranscriptEntry{w.Role, w.Content, unixTime(w.Timestamp), seconds(w.Start),
			seconds(w.Duration), w.InferenceID}
	}
	return entries
}

// recording is a Recording on the wire.
type recording struct {
	RecordingID     string `json:"recording_id"`
	BucketName      string `json:"bucket_name"`
	S3Key           string `json:"s3_key"`
	StorageProvider string `json:"storage_provider"`
	StorageURI      string `json:"storage_uri"`
	ErrorCode       any    `json:"error_code"` // its type is documented nowhere
	ErrorMessage    string `json:"error_message"`
}

func (r *recording) event() *Recording {
	code := ""
	if r.ErrorCode != nil {
		code = fmt.Sprint(r.ErrorCode)
	}
	return &Recording{r.RecordingID, r.BucketName, r.S3Key, r.StorageProvider, r.StorageURI, code, r.ErrorMessage}
}
