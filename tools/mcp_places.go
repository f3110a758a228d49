package tools

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Refusal is a JSON-RPC error in place of what mcp-go would answer: it knows one
// code for whatever goes wrong at a resource, a prompt or a completion, and clients
// decide by the code. A transport must ask for it; see [Call.Refusal] and [Answered].
type Refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Answered is what a message is answered with: answer, or the refusal of its call.
func Answered(ctx context.Context, answer mcp.JSONRPCMessage) mcp.JSONRPCMessage {
	c := CallOf(ctx)
	if c == nil || c.Refusal == nil {
		return answer
	}
	var id mcp.RequestId
	switch a := answer.(type) {
	case mcp.JSONRPCResponse:
		id = a.ID
	case mcp.JSONRPCError:
		id = a.ID
	}
	return mcp.NewJSONRPCError(id, c.Refusal.Code, c.Refusal.Message, c.Refusal.Data)
}

// places binds to mcp-go what a Host has beside its tools.
type places struct{ log *slog.Logger }

// options are for the server that has the places.
func (p places) options() []server.ServerOption {
	return []server.ServerOption{
		server.WithResourceCapabilities(true, true), server.WithPromptCapabilities(false), server.WithCompletions(),
		server.WithPromptCompletionProvider(p), server.WithResourceCompletionProvider(p),
		server.WithExtensions(map[string]any{appsExtension: map[string]any{"mimeTypes": []string{cardsType}}}),
	}
}

// hook makes mcp-go tell what belongs to the caller, and not to all: it has one list
// of resources, and one of capabilities.
func (p places) hook(hooks *server.Hooks, self mcp.Implementation) {
	hooks.AddAfterInitialize(func(ctx context.Context, _ any, _ *mcp.InitializeRequest, result *mcp.InitializeResult) {
		result.ServerInfo.Icons = self.Icons
		if c := CallOf(ctx); c == nil || c.Session == nil || c.Session.AddList(ctx) != nil {
			result.Capabilities.Resources.Subscribe, result.Capabilities.Resources.ListChanged = false, false
		}
	})
	hooks.AddAfterDiscover(func(_ context.Context, _ any, _ *mcp.DiscoverRequest, result *mcp.DiscoverResult) {
		result.EnsureResultMeta().SetServerInfo(self) // with icons, which every other result has without
	})
	hooks.AddAfterListResources(p.listResources)
	hooks.AddAfterListResourceTemplates(func(_ context.Context, _ any, _ *mcp.ListResourceTemplatesRequest, result *mcp.ListResourceTemplatesResult) {
		result.ResourceTemplates = templates()
	})
	hooks.AddBeforeReadResource(func(ctx context.Context, _ any, request *mcp.ReadResourceRequest) {
		if uri := request.Params.URI; len(uri) > maxURI || strings.ContainsFunc(uri, notInURI) {
			_ = p.refuse(ctx, errNoResource, uri[:min(len(uri), maxURI)]) // it fits no template, or takes long to
			request.Params.URI = ""
		}
	})
	hooks.AddBeforeSubscribe(func(ctx context.Context, _ any, request *mcp.SubscribeRequest) {
		if w := p.session(ctx); w != nil {
			if err := w.Add(ctx, request.Params.URI); err != nil {
				_ = p.refuse(ctx, err, request.Params.URI)
			}
		}
	})
	hooks.AddBeforeUnsubscribe(func(ctx context.Context, _ any, request *mcp.UnsubscribeRequest) {
		if w := p.session(ctx); w != nil {
			w.Remove(request.Params.URI)
		}
	})
	hooks.AddAfterListPrompts(func(ctx context.Context, _ any, _ *mcp.ListPromptsRequest, result *mcp.ListPromptsResult) {
		c := CallOf(ctx)
		result.Prompts = slices.DeleteFunc(slices.Clone(result.Prompts), func(m mcp.Prompt) bool {
			return c == nil || !c.mayCall(promptNamed(m.Name).needs)
		})
	})
}

// add adds the places to a server. mcp-go finds what reads a URI by templates; all
// of them come here, so that what is not there is refused in one way.
func (p places) add(s *server.MCPServer) {
	s.AddResourceTemplate(mcp.NewResourceTemplate("{+uri}", "any"), p.read)
	for _, t := range allPrompts() {
		m := mcp.Prompt{Name: t.name, Title: t.title, Description: t.description}
		for _, a := range t.arguments {
			m.Arguments = append(m.Arguments, mcp.PromptArgument{Name: a.name, Title: a.title, Description: a.description})
		}
		s.AddPrompt(m, p.prompt(t))
	}
}

func notInURI(r rune) bool { return r <= ' ' || r > '~' }

// templates are what clients make URIs of.
func templates() []mcp.ResourceTemplate {
	return []mcp.ResourceTemplate{
		mcp.NewResourceTemplate(eventTemplate, "event", mcp.WithTemplateTitle("An event"), mcp.WithTemplateMIMEType(jsonType),
			mcp.WithTemplateDescription("One event as get_event tells it: price, seats left, status. user is this host's id, event the event's.")),
		mcp.NewResourceTemplate(calendarTemplate, "event_calendar", mcp.WithTemplateTitle("An event for a calendar"), mcp.WithTemplateMIMEType(calendarType),
			mcp.WithTemplateDescription("The event as iCalendar (.ics): a calendar that has it takes over what has changed, and takes out what is cancelled.")),
	}
}

// listResources puts the caller's page of the list in the place of mcp-go's.
func (p places) listResources(ctx context.Context, _ any, request *mcp.ListResourcesRequest, result *mcp.ListResourcesResult) {
	c, err := p.call(ctx)
	var all []Resource
	var next string
	if err == nil {
		cursor, _ := base64.StdEncoding.DecodeString(string(request.Params.Cursor)) // mcp-go has refused what is none
		all, next, err = c.ListResources(ctx, string(cursor))
	}
	result.Resources = make([]mcp.Resource, 0, len(all))
	if err != nil {
		_ = p.refuse(ctx, err, "")
		return
	}
	for _, r := range all {
		m := mcp.Resource{URI: r.URI, Name: r.Name, Title: r.Title, Description: r.Description, MIMEType: r.MIMEType}
		if r.Changed != "" {
			m.Annotations = &mcp.Annotations{LastModified: r.Changed}
		}
		result.Resources = append(result.Resources, m)
	}
	result.NextCursor = mcp.Cursor(base64.StdEncoding.EncodeToString([]byte(next)))
}

func (p places) read(ctx context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	c, err := p.call(ctx)
	if err != nil {
		return nil, p.refuse(ctx, err, request.Params.URI)
	}
	content, err := c.ReadResource(ctx, request.Params.URI)
	if err != nil {
		return nil, p.refuse(ctx, err, request.Params.URI)
	}
	return []mcp.ResourceContents{content.mcp()}, nil
}

func (c Content) mcp() mcp.TextResourceContents {
	return mcp.TextResourceContents{URI: c.URI, MIMEType: c.MIMEType, Text: c.Text, Meta: c.Meta}
}

func (p places) prompt(t prompt) server.PromptHandlerFunc {
	return func(ctx context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		c, err := p.call(ctx)
		if err == nil {
			err = c.May(t.needs)
		}
		if err != nil {
			return nil, p.refuse(ctx, err, "")
		}
		all, err := t.argued(request.Params.Arguments)
		if err != nil {
			return nil, p.refuse(ctx, err, "")
		}
		s, err := t.say(ctx, c, all)
		if err != nil {
			return nil, p.refuse(ctx, err, "")
		}
		result := &mcp.GetPromptResult{Description: t.description,
			Messages: []mcp.PromptMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(s.text)}}}
		for _, b := range s.beside {
			result.Messages = append(result.Messages, mcp.PromptMessage{Role: mcp.RoleUser, Content: mcp.NewEmbeddedResource(b.mcp())})
		}
		return result, nil
	}
}

// CompletePromptArgument implements [server.PromptCompletionProvider].
func (p places) CompletePromptArgument(ctx context.Context, name string, argument mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	t := promptNamed(name)
	for _, a := range t.arguments {
		if a.name == argument.Name {
			return p.complete(ctx, t.needs, a.complete, argument.Value)
		}
	}
	return nil, p.refuse(ctx, invalid("There is no prompt %.60q with an argument %.60q. prompts/list tells them.", name, argument.Name), "")
}

// CompleteResourceArgument implements [server.ResourceCompletionProvider].
func (p places) CompleteResourceArgument(ctx context.Context, uri string, argument mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	switch {
	case !slices.ContainsFunc(templates(), func(t mcp.ResourceTemplate) bool { return t.URITemplate.Raw() == uri }):
	case argument.Name == "event":
		return p.complete(ctx, "get_event", (*Call).completeEvents, argument.Value)
	case argument.Name == "user":
		return p.complete(ctx, "get_event", (*Call).completeUser, argument.Value)
	}
	return nil, p.refuse(ctx, invalid("There is no template %.60q with a variable %.60q. resources/templates/list tells them.", uri, argument.Name), "")
}

func (p places) complete(ctx context.Context, needs string, find func(*Call, context.Context, string) (Completions, error), begun string) (*mcp.Completion, error) {
	c, err := p.call(ctx)
	if err == nil {
		err = c.May(needs)
	}
	if err != nil {
		return nil, p.refuse(ctx, err, "")
	}
	if find == nil {
		return &mcp.Completion{}, nil
	}
	begun, err = line("value", begun, 0, maxQuery)
	if err != nil {
		return nil, p.refuse(ctx, err, "")
	}
	found, err := find(c, ctx, begun)
	if err != nil {
		return nil, p.refuse(ctx, err, "")
	}
	return &mcp.Completion{Values: found.Values, Total: found.Total, HasMore: found.Total > len(found.Values)}, nil
}

// call returns the call of a request, unless the Host's requests are used up.
func (p places) call(ctx context.Context) (*Call, error) {
	c := CallOf(ctx)
	switch {
	case c == nil:
		return nil, errors.New("a place was asked for outside of a Host")
	case c.Spent != nil:
		return nil, c.Spent
	}
	return c, nil
}

// session returns what a caller of the older revisions subscribes in. Where there is
// no session, nothing could be told, and the request is refused.
func (p places) session(ctx context.Context) *Watch {
	c := CallOf(ctx)
	if c != nil && c.Session == nil {
		c.Refusal = &Refusal{Code: mcp.METHOD_NOT_FOUND, Message: "There is no session to subscribe in over HTTP. Use subscriptions/listen of revision 2026-07-28, or read the resource again."}
	}
	if c == nil {
		return nil
	}
	return c.Session
}

// refuse has a request refused for err; uri is the resource it was about, if any.
func (p places) refuse(ctx context.Context, err error, uri string) error {
	r := refusalOf(err, mcp.IsModernProtocol(server.RequestProtocolVersion(ctx)), uri)
	c := CallOf(ctx)
	if c == nil {
		return r
	}
	var coded *Error
	switch err := explain(err); {
	case r.Code == mcp.INTERNAL_ERROR && ctx.Err() == nil: // else the caller is gone
		p.log.Error("a resource, prompt or completion failed", "user", c.Host.User, "err", err)
		c.Code = CodeInternal
	case errors.As(err, &coded):
		c.Code = coded.Code
	}
	c.Refusal = r
	return r
}

// refusalOf returns what err is in JSON-RPC. Revision 2026-07-28 has no code of its
// own for a resource that is not there.
func refusalOf(err error, modern bool, uri string) *Refusal {
	r := &Refusal{Code: mcp.INVALID_PARAMS}
	if uri != "" {
		r.Data = map[string]any{"uri": uri}
	}
	var coded *Error
	switch {
	case errors.Is(err, errNoResource):
		r.Message = "There is no such resource at this host. resources/list tells what there is; an event is event://{user}/{event}."
		if !modern {
			r.Code = mcp.RESOURCE_NOT_FOUND
		}
	case errors.Is(err, errTooManyWatched):
		r.Message = "Subscribe to at most 100 resources at a time. To hear of all events, subscribe to the list."
	case errors.As(explain(err), &coded):
		r.Message, r.Data = coded.Message, coded
		if coded.Code == CodeInternal {
			r.Code, r.Data = mcp.INTERNAL_ERROR, nil
		}
	}
	return r
}
