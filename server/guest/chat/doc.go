// Package chat is the agent that people talk to: conversations over WebSocket,
// kept in a file, in which a Guest finds and books events. docs/explanation/agent.md says
// what is sent over the wire.
//
// Everybody may come, so each conversation has a wallet of its own, and nothing
// is paid from it without its person's click: whatever a sentence, a model or a
// Host says ends at a question ([store.Approval]), and only an approve message in
// the very conversation answers it.
//
// A message becomes a turn (turn.go): rules read it (rules.go), or a language
// model does (model.go); both use the same tools under the same policy. What a
// click begins is finished whoever hangs up, also after a restart (pay.go).
//
// Start with [New] and [Agent.Serve], or with [Agent.Join] where a person sits at
// this very process, and all is paid from their wallet ([Config.Wallet]).
package chat
