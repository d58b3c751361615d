package delivery_test

import (
	"os"
	"strings"
	"testing"
)

// What queues.md shows is what example_queues_test.go compiles and runs, and
// what nobody compiles says so.
func TestQueuesPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("queues.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_queues_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for i, rest := range strings.Split(string(page), "```go\n")[1:] {
		block, _, closed := strings.Cut(rest, "```")
		switch {
		case !closed:
			t.Fatalf("block %d has no end", i+1)
		case strings.HasPrefix(block, "// Sketch: "):
		case strings.Contains(string(source), "\n"+block):
			shown = append(shown, block)
		default:
			t.Errorf("block %d is neither a sketch nor in the example's source:\n%s", i+1, block)
		}
	}
	for _, start := range []string{"// fanOut ", "// outcome ", "// handle "} { // all of them, to the last line
		_, code, found := strings.Cut(string(source), "\n"+start)
		code, _, ended := strings.Cut(code, "\n}\n")
		if !found || !ended {
			t.Fatalf("the example has no declaration with the comment %q", start)
		}
		if !strings.Contains(strings.Join(shown, ""), start+code+"\n}\n") {
			t.Errorf("the page does not show the whole of %q as it stands in the example", start)
		}
	}
}
