package livekit

import (
	"errors"
	"fmt"
	"time"

	"github.com/livekit/protocol/auth"
	wire "github.com/livekit/protocol/livekit"
)

// attributeOnBehalf is the attribute that names the participant for whom an avatar speaks.
const attributeOnBehalf = "lk.publish_on_behalf"

// AvatarToken returns a token with which an avatar worker joins a room. The kind of the
// participant is agent. The token grants the right to join this room, names onBehalfOf as
// the identity that the worker speaks for, and is valid for ttl.
func AvatarToken(key, secret, room, avatar, onBehalfOf string, ttl time.Duration) (string, error) {
	t, err := token(key, secret, room, avatar, ttl, map[string]string{attributeOnBehalf: onBehalfOf})
	if err != nil {
		return "", fmt.Errorf("livekit: %w", err)
	}
	return t, nil
}

// token returns a token of kind agent, since apps for viewers show the avatar of an agent.
func token(key, secret, room, identity string, ttl time.Duration, attributes map[string]string) (string, error) {
	switch {
	case key == "" || secret == "":
		return "", errors.New("a token needs an API key and its secret")
	case room == "" || identity == "":
		return "", errors.New("a token needs a room and an identity")
	case ttl <= 0:
		return "", fmt.Errorf("a token cannot be valid for %v", ttl)
	}
	return auth.NewAccessToken(key, secret).
		SetIdentity(identity).
		SetName(identity).
		SetKind(wire.ParticipantInfo_AGENT).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).
		SetAttributes(attributes).
		SetValidFor(ttl).
		ToJWT()
}
