// See README.md.
package main

import (
	"fmt"

	"wsrun"
	"wsrun/chunks"
)

func init() {
	chunks.Handle(func(c wsrun.Connection, chunk chunks.Chunk) {
		kind := map[wsrun.Kind]string{wsrun.Text: "text", wsrun.Binary: "binary"}[chunk.Kind]
		one := map[bool]int{true: 1}
		c.SendText(fmt.Sprintf("%s %d %d %d %d", kind, len(chunk.Data), one[chunk.First], one[chunk.Last], chunk.Remaining))
	})
}

func main() {}
