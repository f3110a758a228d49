// Package payments is the [Cashier]: it asks for the price of a booking, takes
// the payment, and sees to it that a seat and the money for it change hands
// exactly once or not at all.
//
// Two books are kept, and both belong to others: [Claims] is the server-wide
// list of authorizations that somebody has begun to use, and a [Ledger] is one
// Host's seats and payments. A [Facilitator] verifies and submits payments.
// Whether money moved is for the chain alone to say ([Chain]).
//
// A payment is settling from the moment its seats are held until the chain
// says what became of it. Whatever goes wrong in between (a timeout, a crash,
// a lie), the row stays, and [Cashier.Reconcile] asks the chain again until
// there is an answer:
//
//	settling ── money moved ───────────────▶ settled
//	   │                                        ▲ seats still there
//	   └─ refused, or expired unused ─▶ failed ─┤ money moved after all
//	                                            ▼ seats gone
//	                                           owed
//
// Money that moved can still be taken back by a reorganisation of the chain
// until its block is deep enough (evm.Options.Finality). Until
// then a payment stays open; should its transfer go, it is settling, or failed,
// again.
//
// Start with [New], [Cashier.Quote], [Cashier.Repeat] and [Cashier.Pay].
package payments
