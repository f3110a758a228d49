// Package facilitator is x402's facilitator over HTTP, on both ends.
//
// A [Client] has one remote facilitator verify and settle payments, and a
// [Pool] has several do so, one standing in for the other; both are a
// [payments.Facilitator]. A [Server] is such a remote facilitator, for others to
// use.
//
// What a remote facilitator says is hearsay. The clients only make sure that
// nothing doubtful looks like a plain answer: a Verify that is not clearly "yes"
// or "no" is an error, and so is a Settle after which the money may have moved.
// What became of it is for the Cashier to ask the chain.
//
// Start with [NewClient] and [NewPool], or with [NewServer].
package facilitator
