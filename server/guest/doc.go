// Package guest is the Guest: it connects to Hosts as an MCP client, over
// streamable HTTP or stdio, lists their events, and books them, paying with
// x402 within the limits of a [Policy].
//
// What a Host says is taken for what it is: a stranger's text. Only the
// requirement that the policy was held against is signed, to the letter, after
// it was counted in the purse ([store.Purse]) that all processes of a wallet
// share and, where the policy wants that, approved by the person. A payment
// whose answer is lost is sent again and never signed anew, also by the next
// process.
//
// Start with [Dial] or [Command], then [Host.Events] and [Host.Book]; or with
// [NewDesk], which has several Hosts and tools of its own, for an agent.
// [NewProxy] gives a Desk to MCP clients that can't pay, and asks the person.
package guest
