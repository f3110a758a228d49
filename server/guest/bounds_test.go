package guest

import (
	"testing"
	"time"
)

// A Host answers within 45 s; a Guest that gave up before would not know what
// became of its payment.
func TestTimeouts(t *testing.T) {
	if callTimeout < 45*time.Second {
		t.Errorf("a call is given up after %s", callTimeout)
	}
}
