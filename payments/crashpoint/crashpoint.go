// Package crashpoint names the steps of a payment, and of a rollback, at which a test
// may kill the process, as kill -9 would. It does nothing unless the program is built with
// the tag "crashpoint"; the product never is.
package crashpoint

// Env is the environment variable that says where to die: a point, a colon,
// and at which of its hits, such as "held:3".
const Env = "CONCIERGE_CRASH_AT"

// Point is a step that has just been taken.
type Point string

// The steps of a payment, in their order.
const (
	Claimed   Point = "claimed"   // the authorization is claimed in the server's file
	Verified  Point = "verified"  // the facilitator has accepted it
	Held      Point = "held"      // the seats are held, the payment is settling
	Submitted Point = "submitted" // the facilitator has answered
	Found     Point = "found"     // the chain has said what came of it
	Booked    Point = "booked"    // the outcome is in the Host's file
	Released  Point = "released"  // the claim of a payment that failed is released
)

// The steps of a refund, in their order. In between it passes Submitted, Found
// and Booked, as any payment does.
const (
	RefundNoted  Point = "refund_noted"  // the Host is noted as a debtor, and owes nothing yet
	RefundOwed   Point = "refund_owed"   // the refund is in the Host's file
	RefundSigned Point = "refund_signed" // its authorization is, too, and nobody has seen it
	RefundFound  Point = "refund_found"  // the chain has said that the money went back
	RefundBooked Point = "refund_booked" // that is in the Host's file
)

// Points are all steps of payments.
var Points = []Point{Claimed, Verified, Held, Submitted, Found, Booked, Released,
	RefundNoted, RefundOwed, RefundSigned, RefundFound, RefundBooked}

// The steps of a rollback: the first and the last of it, and those of each file in
// between.
const (
	RollbackBegun    Point = "rollback_begun"    // the data directory says that one is under way
	RollbackMade     Point = "rollback_made"     // the file that is to be there is beside the one that is
	RollbackNoted    Point = "rollback_noted"    // the server's file knows that a Host has to be looked after
	RollbackAside    Point = "rollback_aside"    // the file of before has its name for later
	RollbackReplaced Point = "rollback_replaced" // the new one is in its place
	RollbackDropped  Point = "rollback_dropped"  // the copies that were used up are gone
)

// RollbackPoints are all steps of rollbacks.
var RollbackPoints = []Point{RollbackBegun, RollbackMade, RollbackNoted, RollbackAside, RollbackReplaced, RollbackDropped}
