// Package guest is the Guest: it connects to Hosts as an MCP client, over
// streamable HTTP or stdio, lists their events, and books them, paying with
// x402 within the limits of a [Policy].
//
// What a Host says is taken for what it is: a stranger's text. Only the
// requirement that the policy was held against is signed, to the letter; a
// payment whose answer is lost is sent again and never signed anew, also after a
// restart: what was signed for is in a [store.Purse].
//
// Start with [Dial] or [Command], then [Host.Events] and [Host.Book]. A [Desk] has
// several Hosts, and tools for a model; [NewProxy] gives these to MCP clients that
// can't pay, and asks the person.
package guest
