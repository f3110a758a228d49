// Package tools is what can be done with a Host: list its events, book one,
// create one, see who comes and what it earned. Each tool is a method of
// [Host] from a typed input to a typed output; the same structs are the JSON
// of MCP and of REST. Beside them there are resources, prompts and completions,
// which are of a [Call], for they depend on who asks.
//
// The tools decide who may call, what is valid and what it costs. They know
// neither HTTP nor SQL; mcp.go and mcp_*.go alone know MCP. What goes wrong comes
// back as an [*Error] with a stable code, or, when money is wanted, as a
// [*PaymentRequired].
package tools
