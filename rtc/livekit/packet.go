package livekit

import (
	"strconv"
	"time"

	wire "github.com/livekit/protocol/livekit"

	"echocast/echo"
)

const (
	topicAudio = "lk.audio_stream"
	mimeAudio  = "application/octet-stream"
	maxChunk   = 15000 // bytes of a chunk, as every LiveKit SDK cuts them
)

// packet passes a packet of a byte stream to the SDK. The SDK also has a writer for byte
// streams. It waits for an acknowledgement after each chunk, so it reaches little more than
// three times real time.
type packet struct{ *wire.DataPacket }

// ToProto returns the packet.
func (p packet) ToProto() *wire.DataPacket { return p.DataPacket }

// header opens the byte stream of u.
func header(u echo.Utterance, at time.Time) packet {
	return packet{&wire.DataPacket{Value: &wire.DataPacket_StreamHeader{StreamHeader: &wire.DataStream_Header{
		StreamId: u.InferenceID, Timestamp: at.UnixMilli(), Topic: topicAudio, MimeType: mimeAudio,
		Attributes: map[string]string{"sample_rate": strconv.Itoa(u.Rate), "num_channels": "1"},
		ContentHeader: &wire.DataStream_Header_ByteHeader{ByteHeader: &wire.DataStream_ByteHeader{Name: "AUDIO_" +
			u.InferenceID}},
	}}}}
}

// chunk returns a chunk of the stream with the given id.
func chunk(id string, index uint64, pcm []byte) packet {
	return packet{&wire.DataPacket{Value: &wire.DataPacket_StreamChunk{StreamChunk: &wire.DataStream_Chunk{StreamId: id,
		ChunkIndex: index, Content: pcm}}}}
}

// trailer closes the stream.
func trailer(id string) packet {
	return packet{
		&wire.DataPacket{Value: &wire.DataPacket_StreamTrailer{StreamTrailer: &wire.DataStream_Trailer{StreamId: id}}}}
}
