package delivery

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// panicked says what a panic was, and in which function of whose. It is for the
// deferred function that recovered p.
func panicked(p any) error {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for seen := false; ; {
		f, more := frames.Next()
		switch inRuntime := strings.HasPrefix(f.Function, "runtime."); {
		case f.Function == "runtime.gopanic":
			seen = true
		case seen && !inRuntime:
			return fmt.Errorf("panic in %s (%s:%d): %v", path.Base(f.Function), path.Base(f.File), f.Line, p)
		}
		if !more {
			return fmt.Errorf("panic: %v", p)
		}
	}
}
