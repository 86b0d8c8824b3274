// Package lines speaks with the runner of the compatibility tests: commands as JSON lines on standard input, answers and
// events as JSON lines on standard output.
package lines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// Command is one line of input; members that a command has not are passed over.
type Command struct {
	raw json.RawMessage
	ID  int    `json:"id"`
	Do  string `json:"do"`
}

// Into reads the command's members.
func (c Command) Into(target any) error { return json.Unmarshal(c.raw, target) }

// Failure is an error with the number that the server gave it, or 0.
type Failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var out sync.Mutex

// Say writes one line.
func Say(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"event": "fault", "message": err.Error()})
	}
	out.Lock()
	defer out.Unlock()
	fmt.Fprintf(os.Stdout, "%s\n", text)
}

// Serve carries out commands, all at once, until the input ends. failure makes an error's line.
func Serve(do func(Command) (any, error), failure func(error) Failure) {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 16<<20)
	for input.Scan() {
		line := append([]byte(nil), input.Bytes()...)
		command := Command{raw: line}
		if err := json.Unmarshal(line, &command); err != nil {
			Say(map[string]string{"event": "fault", "message": err.Error()})
			continue
		}
		go func() {
			result, err := do(command)
			if err != nil {
				Say(map[string]any{"id": command.ID, "error": failure(err)})
				return
			}
			if result == nil {
				result = struct{}{}
			}
			Say(map[string]any{"id": command.ID, "result": result})
		}()
	}
}
