// Package x402 is the wire format of x402 payments, versions 1 and 2: what a
// server asks for, what a client answers, what the settlement reports, and
// how each of them travels in HTTP headers, HTTP bodies and MCP `_meta`.
//
// It is pure data. Nothing here hashes, signs, talks to a chain or decides
// whether a payment is good: package evm does the cryptography and package
// payments does the deciding.
//
// Start with [DecodeHeader] and [DecodeMeta] for a payment that came in,
// [DecodeRequired] for a request for payment that came in, and
// [PaymentRequired] for one to send. Decoders accept nothing that is
// oversized, ambiguous or malformed; each kind of refusal is one of the Err
// values, to be tested with errors.Is. Unknown JSON members are ignored, as
// the specification's extensions need.
//
// Source: the x402 specification v1 and v2, its HTTP and MCP transports, and
// the npm packages x402 and @x402/core, whose output the tests decode.
package x402
