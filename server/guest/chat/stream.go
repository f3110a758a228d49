package chat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of one answer of a model.
const (
	maxAnswerTokens = 2000
	maxAnswerBytes  = 1 << 20  // of the stream
	maxAnswerText   = 16 << 10 // of what it says
	maxArguments    = 16 << 10 // of one call
	modelTries      = 3        // while it is busy
	longestRetry    = 20 * time.Second
)

// Defaults of a [Model].
const (
	DefaultModelURL     = "https://api.openai.com/v1"
	DefaultModel        = "gpt-5-mini"
	DefaultTokensAnHour = 500_000
)

// Model is a language model behind OpenAI's Chat Completions API, or any server
// that is compatible with it.
type Model struct {
	URL  string // up to and with /v1
	Key  string // goes to URL, and nowhere else
	Name string
	// TokensAnHour is the most that all conversations together may use, which the
	// server's operator pays for; 0: no limit.
	TokensAnHour int
	Client       *http.Client

	budget budget
}

// modelMessage and the others are of the wire.
type modelMessage struct {
	Role       string      `json:"role"`
	Content    string      `json:"content"`
	ToolCalls  []modelCall `json:"tool_calls,omitempty"`
	ToolCallID string      `json:"tool_call_id,omitempty"`
}

type modelCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"` // JSON, or what the model takes for it
	} `json:"function"`
}

type modelTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// modelStep is one answer of a model.
type modelStep struct {
	text   string
	calls  []modelCall
	tokens int  // in and out
	whole  bool // it has come to its end
}

func (s modelStep) message() modelMessage {
	return modelMessage{Role: "assistant", Content: s.text, ToolCalls: s.calls}
}

// modelStatus is an answer of the API that is none of the model. What its body
// says is not repeated: it may have the key in it.
type modelStatus struct {
	code  int
	retry time.Duration // 0: it does not say
}

func (e *modelStatus) Error() string {
	return fmt.Sprintf("its server answered with status %d", e.code)
}

func (e *modelStatus) temporary() bool {
	return e.code == http.StatusTooManyRequests || e.code >= 500
}

// step asks for one answer, and calls say with its text piece by piece. While the
// server is busy it tries again. With an error there may be a part of an answer,
// whose calls must not be made.
func (m *Model) step(ctx context.Context, past []modelMessage, tools []modelTool, pause func(context.Context, time.Duration) error, say func(string)) (modelStep, error) {
	body, err := json.Marshal(map[string]any{"model": m.Name, "messages": past, "tools": tools, "stream": true,
		"stream_options": map[string]bool{"include_usage": true}, "max_completion_tokens": maxAnswerTokens})
	if err != nil {
		return modelStep{}, err
	}
	wait := time.Second
	for try := 1; ; try++ {
		stream, err := m.open(ctx, body)
		if err == nil {
			step, err := readStep(stream, say)
			_ = stream.Close()
			if step.tokens == 0 { // it did not say: about what others count
				step.tokens = (len(body) + len(step.text)) / 4
			}
			if err != nil {
				step.calls = nil
			}
			return step, err
		}
		var status *modelStatus
		if try == modelTries || !errors.As(err, &status) || !status.temporary() || status.retry > longestRetry {
			return modelStep{}, err
		}
		if err := pause(ctx, max(wait, status.retry)); err != nil {
			return modelStep{}, err
		}
		wait *= 2
	}
}

func (m *Model) open(ctx context.Context, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(m.URL, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its address is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	if m.Key != "" {
		r.Header.Set("Authorization", "Bearer "+m.Key)
	}
	resp, err := m.Client.Do(r)
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("it took too long")
	case err != nil:
		return nil, errors.New("its server can't be reached")
	case resp.StatusCode != http.StatusOK:
		_ = resp.Body.Close()
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, &modelStatus{resp.StatusCode, time.Duration(max(0, seconds)) * time.Second}
	}
	return resp.Body, nil
}

// chunk is one event of a stream.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content   string `json:"content"`
			ToolCalls []struct {
				Index    int    `json:"index"`
				ID       string `json:"id"`
				Function struct {
					Name      string `json:"name"`
					Arguments string `json:"arguments"`
				} `json:"function"`
			} `json:"tool_calls"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		TotalTokens int `json:"total_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// readStep reads a stream of server-sent events to its end. Errors: errCut and
// others; what was read until then is returned with them.
func readStep(stream io.Reader, say func(string)) (s modelStep, err error) {
	lines := bufio.NewScanner(io.LimitReader(stream, maxAnswerBytes))
	lines.Buffer(nil, maxAnswerBytes)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok { // a comment, an empty line, a name of an event
			continue
		}
		if data = bytes.TrimSpace(data); string(data) == "[DONE]" {
			s.whole = true
			break
		}
		var c chunk
		if err := json.Unmarshal(data, &c); err != nil {
			return s, errors.New("it is not what the API promises")
		}
		if err := s.add(c, say); err != nil {
			return s, err
		}
	}
	switch {
	case !s.whole: // by its own word, or by [DONE]
		return s, errCut
	case slices.ContainsFunc(s.calls, func(c modelCall) bool { return c.ID == "" || c.Function.Name == "" }):
		return s, errors.New("it calls a tool without a name")
	}
	return s, nil
}

func (s *modelStep) add(c chunk, say func(string)) error {
	if len(c.Error) > 0 && string(c.Error) != "null" {
		return errors.New("its server reports an error")
	}
	if c.Usage != nil {
		s.tokens = max(0, min(c.Usage.TotalTokens, 1<<30))
	}
	if len(c.Choices) == 0 {
		return nil
	}
	choice := c.Choices[0]
	if text := choice.Delta.Content; text != "" {
		if len(s.text)+len(text) > maxAnswerText {
			return errors.New("it is too long")
		}
		s.text += text
		say(text)
	}
	for _, d := range choice.Delta.ToolCalls {
		if d.Index < 0 || d.Index >= maxCalls || d.Index > len(s.calls) {
			return errors.New("it calls too many tools at once")
		}
		if d.Index == len(s.calls) {
			s.calls = append(s.calls, modelCall{Type: "function"})
		}
		call := &s.calls[d.Index]
		call.ID += d.ID
		call.Function.Name += d.Function.Name
		call.Function.Arguments += d.Function.Arguments
		if len(call.ID)+len(call.Function.Name)+len(call.Function.Arguments) > maxArguments {
			return errors.New("it calls a tool with too much")
		}
	}
	switch choice.FinishReason {
	case "":
	case "length":
		return errCut
	default:
		s.whole = true
	}
	return nil
}
