package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/echo"
)

func emotionCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	known := strings.Trim(fmt.Sprint(echo.Emotions()), "[]")
	return &cli.Command{
		Name: "emotion", Usage: "set what the face expresses, until the next one", ArgsUsage: "EMOTION",
		Description: "EMOTION is one of: " + strings.ReplaceAll(known, " ", ", ") + ".",
		Flags:       m.flags(),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("emotion takes one emotion: %s", strings.ReplaceAll(known, " ", ", "))
			}
			return m.sendOne(c, echo.SetEmotion{Emotion: echo.Emotion(c.Args().First())}, nil)
		},
	}
}
