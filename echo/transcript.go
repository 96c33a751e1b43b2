package echo

import (
	"fmt"
	"time"
)

// TranscriptEntry is one entry in the transcript of a finished conversation.
type TranscriptEntry struct {
	Role        string        // user, assistant, system or tool
	Text        string        //
	Time        time.Time     // when it began; zero: not known
	Start       time.Duration // from the start of the conversation; negative: not known
	Duration    time.Duration // negative: not known
	InferenceID string        // only for the replica
}

// Recording says where the recording of a conversation is stored, or why there is none.
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
	ErrorCode       any    `json:"error_code"` // the service does not document its type
	ErrorMessage    string `json:"error_message"`
}

func (r *recording) event() *Recording {
	code := ""
	if r.ErrorCode != nil {
		code = fmt.Sprint(r.ErrorCode)
	}
	return &Recording{r.RecordingID, r.BucketName, r.S3Key, r.StorageProvider, r.StorageURI, code, r.ErrorMessage}
}
